"""Running somebody's module once, and leaving it as it was."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from mobileone.checkpoint.modules.parts import parts_of
from mobileone.checkpoint.modules.recorder import Recorder
from mobileone.checkpoint.modules.values import version_of

__all__ = ["TRAIN_PATH", "outputs_of", "run", "seeded_image", "untouched"]

# Where blocks of `mobileone.torch.accelerate` keep how they compute: "branches" is as their class.
TRAIN_PATH = "_mobileone_train_path"


@contextmanager
def untouched(module: Any, parts: Sequence[Any] | None = None) -> Iterator[None]:
    """Eval semantics inside; afterwards the attributes, buffers and random numbers of before.

    Methods of the module that change its mode are not called: some do more than that.

    Args:
        module: whose results are wanted.
        parts: what is in it, where that is known already.
    """
    parts = parts or parts_of(module)
    training = [part for part in parts if part.training]
    # Parts of a ScriptModule keep neither attributes nor buffers in a dictionary of their own.
    plain = [part for part in parts if isinstance(part._buffers, dict)]
    attributes = [(vars(part), dict(vars(part))) for part in plain]
    held = [(part._buffers, dict(part._buffers)) for part in plain if part._buffers]
    buffers = {id(b): b for _, own in held for b in own.values() if b is not None}
    copies = [(b, b.detach().clone()) for b in buffers.values()]
    versions = [version_of(b) for b in buffers.values()]
    weight = next(module.parameters(), None)
    on_gpu = weight is not None and weight.device.type == "cuda"
    devices = [weight.device.index or 0] if weight is not None and on_gpu else []
    with torch.random.fork_rng(devices=devices), torch.inference_mode(False), torch.no_grad():
        try:
            for part in training:
                part.training = False
            for own, _ in attributes:
                if TRAIN_PATH in own:
                    own[TRAIN_PATH] = "branches"
            yield
        finally:
            for part in training:
                part.training = True
            for now, before in (*attributes, *held):
                _restore(now, before)
            for (buffer, copy), version in zip(copies, versions, strict=True):
                # Tensors of inference mode do not count, and are changed in that mode alone.
                if version_of(buffer) != version or buffer.is_inference():
                    with torch.inference_mode(buffer.is_inference()):
                        buffer.copy_(copy)


def _restore(now: dict[str, Any], before: Mapping[str, Any]) -> None:
    same = now.keys() == before.keys()
    if not same or any(map(operator.is_not, map(now.get, before), before.values())):
        now.clear()
        now.update(before)


def seeded_image(module: Any, shape: tuple[int, int, int, int]) -> torch.Tensor:
    """N(0, 1) noise [batch, channels, height, width] of the module's type, where it is."""
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    weight = next((p for p in module.parameters() if p.is_floating_point()), noise)
    return noise.to(device=weight.device, dtype=weight.dtype)


def run(module: Any, image: torch.Tensor, recorder: Recorder) -> Any:
    """The module's result; `outputs_of` has its tensors."""
    device = "cpu" if image.is_meta else image.device.type
    parts = parts_of(module)
    with untouched(module, parts), torch.autocast(device, enabled=False), _uncompiled(parts):
        recorder.begin(image)
        with recorder:
            return module(image)


@contextmanager
def _uncompiled(parts: Sequence[Any]) -> Iterator[None]:
    """Parts that torch.compile wraps, or that were compiled in place, run as they are written."""
    in_place = any(getattr(part, "_compiled_call_impl", None) is not None for part in parts)
    if in_place or any("_orig_mod" in part._modules for part in parts):
        with torch.compiler.set_stance("force_eager"):
            yield
    else:
        yield


def outputs_of(result: Any) -> list[torch.Tensor]:
    """The tensors of a result, which may be a tuple, a mapping, or an object of fields."""
    if isinstance(result, torch.Tensor):
        return [result]
    if isinstance(result, Mapping):
        result = list(result.values())
    if isinstance(result, tuple | list):
        return [tensor for part in result for tensor in outputs_of(part)]
    return []
