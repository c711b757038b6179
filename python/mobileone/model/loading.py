"""Models of what there is already: a checkpoint, a module, another model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from mobileone.model.model import Model

__all__ = ["from_torch", "load", "reparameterize"]


def load(
    source: Any,
    *,
    arch: str | None = None,
    num_classes: int | None = None,
    strict: bool = True,
    weights: Literal["auto", "ema", "model"] = "auto",
    sha256: str | None = None,
    config: Mapping[str, Any] | None = None,
    head: str | None = None,
    check: bool = True,
) -> Model:
    """A Model from a checkpoint; variant, form and classes are recognised from the tensors.

    The weights are copied: neither overwriting the file nor changing the arrays later changes the
    model, and nothing of a pickle is ever executed.

    Args:
        source: a path (.safetensors, .npz, what torch.save wrote, a folder or an index of such
            files), a mapping of arrays by name, a torch.nn.Module, a Model,
            ``hf-hub:owner/name@revision[:filename]`` or ``https://...``
            (`mobileone.checkpoint.hub.fetch`); or any network's graph, .onnx, .pt2 or a
            torch.export.ExportedProgram (docs/onnx.md).
        arch: the variant that it must be, e.g. "mobileone_s0"; None takes any.
        num_classes: the number of classes that it must have; None takes any, 0 means a network
            without a classifier, whose results are pooled features.
        strict: False loads a network that is part of a larger one, and ignores the rest; without
            a classifier it gives pooled features, or where ``num_classes`` asks for one a new
            classifier with random weights, with a warning. The report lists all of it.
        weights: "ema" or "model" where a file holds averaged and plain weights both.
        sha256: the checksum that the file must have, as 64 hexadecimal digits.
        config: what weights do not show, where it is not as published: activation, eps (1e-5),
            output_stride (32), strides, dilations, stem_stride (2); of a MobileViT also heads (4),
            patch (2, 2), layer_norm_eps, dropout, ffn_dropout, classifier_dropout (0). A module, a
            file of this package and a config.json beside the weights say it by themselves.
        head: the classifier to take where there are several, e.g. "fc_yaw".
        check: whether a module's results on seeded noise are compared with the engine's. Without,
            only the functions that it calls are.

    Raises:
        CheckpointError: damaged, not a known network, or not the one asked for.
        NotImplementedError: a module, or a config.json, of another function than this network can
            compute; the message names the part or the key. A graph with an operator that is not
            supported; it names node, operator and operator set.
        OSError: there is no such file, or the server cannot be reached.
    """
    from mobileone.checkpoint.open import open_bundle

    asked: dict[str, Any] = {"arch": arch, "num_classes": num_classes, "strict": strict}
    asked |= {"weights": weights, "sha256": sha256, "config": config, "head": head, "check": check}
    if isinstance(source, Model):
        open_bundle(source.bundle, **asked)
        return source
    return Model.of(open_bundle(source, **asked))


def from_torch(module: Any, **options: Any) -> Model:
    """The Model of a torch.nn.Module: the authors', timm's or mmpretrain's, in either form.

    torch is not imported here, and the module is neither changed nor kept. `load(module)` does the
    same; this one says what it takes.

    Args:
        module: a torch.nn.Module on the CPU.
        options: those of `load`.

    Raises:
        TypeError: something else than a module.
        CheckpointError: a module of another network.
    """
    if not (hasattr(module, "state_dict") and hasattr(module, "named_modules")):
        raise TypeError(f"module is a {type(module).__name__}; expected a torch.nn.Module")
    return load(module, **options)


def reparameterize(source: Any) -> Model:
    """The same function in inference form: one convolution with a bias per block (section 3.3).

    The algebra is done in float64 and rounded once. The source is never changed; a model that is
    in inference form already comes back with the same weights.

    Args:
        source: a Model, or anything that `load` takes.
    """
    return Model.of(load(source).bundle.reparameterized())
