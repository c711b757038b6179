"""PyTorch's norms, and the reductions that they are made of."""

from __future__ import annotations

from typing import Any

import numpy as np

from mobileone.checkpoint.graphs.calls import Call, Operator, numbers

__all__ = ["NORMS"]


def _scale_and_shift(call: Call) -> tuple[str, str]:
    """Of a norm per channel; where it has none, such as change nothing."""
    channels = call.shape_of("input")[1]
    weight = call["weight"] or call.constant(np.ones(channels, np.float32))
    bias = call["bias"] or call.constant(np.zeros(channels, np.float32))
    return weight, bias


def _batch_norm(call: Call) -> None:
    parts = call["input"], *_scale_and_shift(call)
    statistics = call["running_mean"], call["running_var"]
    training = bool(call.get("training", False)) or None in statistics
    options: dict[str, Any] = {"epsilon": float(call["eps"]), "training_mode": int(training)}
    call.add_first("BatchNormalization", *parts, *statistics, **options)


def _layer_norm(call: Call) -> None:
    axis = -len(numbers(call["normalized_shape"]))
    parts = call["input"], call["weight"], call["bias"]
    call.add_first("LayerNormalization", *parts, axis=axis, epsilon=float(call["eps"]))


def _group_norm(call: Call) -> None:
    options: dict[str, Any] = {
        "num_groups": int(call["num_groups"]),
        "epsilon": float(call["eps"]),
    }
    call.add("GroupNormalization", call["input"], *_scale_and_shift(call), **options)


def _reduce(kind: str) -> Operator:
    def convert(call: Call) -> None:
        dims = call.get("dim")
        inputs = [call["self"], *([] if dims in (None, []) else [call.integers(numbers(dims))])]
        call.add(kind, *inputs, keepdims=int(bool(call.get("keepdim"))))

    return convert


def _vector_norm(call: Call) -> None:
    if call.get("ord", call.get("p")) not in (2, None):
        call.refuse(f"of order {call.get('ord', call.get('p'))}; expected 2")
    _reduce("ReduceL2")(call)


NORMS: dict[str, Operator] = {
    **dict.fromkeys(("batch_norm", "_native_batch_norm_legit_no_training"), _batch_norm),
    **dict.fromkeys(("layer_norm", "native_layer_norm"), _layer_norm),
    **dict.fromkeys(("norm", "linalg_vector_norm"), _vector_norm),
    "group_norm": _group_norm,
    "mean": _reduce("ReduceMean"),
    "sum": _reduce("ReduceSum"),
}
