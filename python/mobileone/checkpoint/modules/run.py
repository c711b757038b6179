"""Running somebody's module once, and leaving it as it was."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch

from mobileone.checkpoint.modules.recorder import Recorder

__all__ = ["outputs_of", "seeded_image", "untouched"]


@contextmanager
def untouched(module: Any) -> Iterator[None]:
    """Eval semantics inside; afterwards the modes, buffers and random numbers of before.

    Methods of the module that change its mode are not called: some do more than that.
    """
    parts = list(module.modules())
    modes = [(part, part.training) for part in parts]
    # A ScriptModule's are no dictionary, and cannot be replaced from outside.
    held = [(part, dict(part._buffers)) for part in parts if isinstance(part._buffers, dict)]
    copies = [(b, b._version, b.detach().clone()) for b in module.buffers()]
    devices = sorted({b.device.index or 0 for b in module.parameters() if b.device.type == "cuda"})
    with torch.random.fork_rng(devices=devices), torch.no_grad():
        try:
            for part in parts:
                part.training = False
            yield
        finally:
            for part, mode in modes:
                part.training = mode
            for part, own in held:
                part._buffers.clear()
                part._buffers.update(own)
            for buffer, version, copy in copies:
                if buffer._version != version:
                    buffer.copy_(copy)


def seeded_image(module: Any, channels: int, size: tuple[int, int]) -> torch.Tensor:
    """N(0, 1) noise [1, channels, height, width] of the module's type, where it is."""
    noise = torch.randn(1, channels, *size, generator=torch.Generator().manual_seed(0))
    weight = next((p for p in module.parameters() if p.is_floating_point()), noise)
    return noise.to(device=weight.device, dtype=weight.dtype)


def run(module: Any, image: torch.Tensor, recorder: Recorder) -> list[torch.Tensor]:
    """The tensors of the module's result."""
    device = image.device.type
    with untouched(module), torch.autocast(device, enabled=False):
        recorder.begin(image)
        with recorder:
            result = module(image)
    return outputs_of(result)


def outputs_of(result: Any) -> list[torch.Tensor]:
    """The tensors of a result, which may be a tuple, a mapping, or an object of fields."""
    if isinstance(result, torch.Tensor):
        return [result]
    if isinstance(result, Mapping):
        result = list(result.values())
    if isinstance(result, tuple | list):
        return [tensor for part in result for tensor in outputs_of(part)]
    return []
