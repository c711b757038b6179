"""Operators of feature maps [N, C, H, W]: convolutions, pooling, batch norms, resizing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np

from mobileone.checkpoint.graphs.lowering import Lowering, Value
from mobileone.checkpoint.graphs.operators.arguments import array, given, integers, pair
from mobileone.checkpoint.graphs.operators.norms import as_map
from mobileone.checkpoint.graphs.statement import Array, Statement, floats
from mobileone.checkpoint.graphs.writer import Tensor

__all__ = ["average_pool", "batch_norm", "conv", "global_average_pool", "max_pool", "resize"]

# Kernel, stride, pads before and after.
Geometry: TypeAlias = tuple[list[int], list[int], list[int], list[int]]

_LOWEST = float(np.finfo(np.float32).min)


def _map(low: Lowering, statement: Statement, value: Value | None) -> Tensor:
    x = low.tensor(value, statement.name)
    if len(x.shape) != 4 or x.batch != 0:
        low.program.refuse(statement, f"its input has shape {x.shape}; expected (N, C, H, W)")
    return x


def _pads(
    statement: Statement,
    x: Tensor,
    kernel: Sequence[int],
    stride: Sequence[int],
    dilation: Sequence[int],
) -> tuple[list[int], list[int]]:
    """Before and after, per axis."""
    auto = str(statement.attributes.get("auto_pad", "NOTSET") or "NOTSET")
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        before, after = [], []
        for extent, k, s, d in zip(x.shape[2:], kernel, stride, dilation, strict=True):
            total = max(0, (-(-extent // s) - 1) * s + d * (k - 1) + 1 - extent)
            less = total // 2
            before.append(less if auto == "SAME_UPPER" else total - less)
            after.append(total - before[-1])
        return before, after
    pads = pair(statement.attributes, "pads", 0, 4) if auto == "NOTSET" else [0] * 4
    return pads[:2], pads[2:]


def _padded(
    low: Lowering, name: str, x: Tensor, before: list[int], after: list[int], value: float
) -> Tensor:
    """A map with that many elements of a value around it."""
    if not any(before + after):
        return x
    if min(before + after) < 0:
        raise ValueError(f"pads are {before} and {after}")
    shape = [*x.shape[:2], *(e + b + a for e, b, a in zip(x.shape[2:], before, after, strict=True))]
    pads: dict[str, Any] = {"before": [0, 0, *before], "after": [0, 0, *after], "value": value}
    return low.writer.add(f"{name}.pad", "Pad", [x], shape, **pads)


def _sizes(
    x: Tensor, padding: Sequence[int], spans: Sequence[int], stride: Sequence[int]
) -> list[int]:
    """How many windows there are in each direction."""
    return [
        (extent + 2 * p - span) // s + 1
        for extent, p, span, s in zip(x.shape[2:], padding, spans, stride, strict=True)
    ]


def conv(low: Lowering, statement: Statement, values: list[Value | None]) -> list[Value]:
    """Conv, with constant weights; of rows as of maps of height 1."""
    weight = array(low, statement, values, 1, "weight")
    bias = None if given(values, 2) is None else array(low, statement, values, 2, "bias")
    x = low.tensor(values[0], statement.name)
    if len(x.shape) == 3 and x.batch == 0 and weight.ndim == 3:
        return [_conv_of_rows(low, statement, x, weight, bias)]
    return [_conv(low, statement, _map(low, statement, x), weight, bias)]


def _conv_of_rows(
    low: Lowering, statement: Statement, x: Tensor, weight: Array, bias: Array | None
) -> Tensor:
    attributes = dict(statement.attributes)
    for name, neutral in (("strides", 1), ("dilations", 1), ("kernel_shape", 1)):
        if name in attributes:
            attributes[name] = [neutral, *attributes[name]]
    if "pads" in attributes:
        attributes["pads"] = [0, attributes["pads"][0], 0, attributes["pads"][1]]
    inner = Statement(
        statement.name, statement.kind, statement.inputs, statement.outputs, attributes
    )
    n, c, length = x.shape
    rows = low.reshaped(f"{statement.name}.rows", x, (n, c, 1, length))
    y = _conv(low, inner, rows, weight[:, :, None], bias)
    return low.reshaped(f"{statement.name}.flat", y, (*y.shape[:2], y.shape[3]))


def _conv(
    low: Lowering, statement: Statement, x: Tensor, weight: Array, bias: Array | None
) -> Tensor:
    if weight.ndim != 4:
        low.program.refuse(statement, f"its weight has shape {weight.shape}; expected 4 dimensions")
    attributes, (out, fan, *kernel) = statement.attributes, weight.shape
    stride, dilation = pair(attributes, "strides", 1), pair(attributes, "dilations", 1)
    groups = int(attributes.get("group", 1))
    if fan * groups != x.shape[1]:
        raise ValueError(f"weight {weight.shape}, {groups} groups, {x.shape[1]} channels")
    before, after = _pads(statement, x, kernel, stride, dilation)
    padding = before
    if before != after:
        x, padding = _padded(low, statement.name, x, before, after, 0.0), [0, 0]
    spans = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    sizes = _sizes(x, padding, spans, stride)
    fields = {"in_channels": x.shape[1], "out_channels": out, "kernel_size": list(kernel)}
    fields |= {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    weights = {"weight": weight} | ({} if bias is None else {"bias": bias.reshape(out)})
    shape = (x.shape[0], out, *sizes)
    return low.writer.add(
        statement.name, "Conv2d", [x], shape, weights, bias=bias is not None, **fields
    )


def batch_norm(low: Lowering, statement: Statement, values: list[Value | None]) -> list[Value]:
    """BatchNormalization in inference, of any number of dimensions."""
    if statement.attributes.get("training_mode", 0):
        low.program.refuse(statement, "it is in training mode; export the network in eval mode")
    x = low.tensor(values[0], statement.name)
    weight, bias, mean, variance = (
        array(low, statement, values, i, "parameter") for i in range(1, 5)
    )
    shape = x.shape
    if len(shape) < 2 or x.batch != 0 or weight.shape != (shape[1],):
        low.program.refuse(statement, f"its input has shape {shape}; expected (N, C, ...)")
    x = as_map(low, statement.name, x)
    weights = {"weight": weight, "bias": bias, "running_mean": mean, "running_var": variance}
    eps = float(statement.attributes.get("epsilon", 1e-5))
    y = low.writer.add(
        statement.name, "BatchNorm", [x], x.shape, weights, channels=shape[1], eps=eps
    )
    return [low.reshaped(f"{statement.name}.flat", y, shape)]


def global_average_pool(
    low: Lowering, statement: Statement, values: list[Value | None]
) -> list[Value]:
    """GlobalAveragePool of maps."""
    x = _map(low, statement, values[0])
    return [low.writer.add(statement.name, "GlobalAvgPool", [x], (*x.shape[:2], 1, 1))]


def _pool_geometry(low: Lowering, statement: Statement, x: Tensor) -> Geometry:
    """Kernel, stride, pads before and after, of whole windows."""
    attributes = statement.attributes
    kernel, stride = pair(attributes, "kernel_shape", 1), pair(attributes, "strides", 1)
    if any(n != 1 for n in pair(attributes, "dilations", 1)):
        low.program.refuse(statement, "it is dilated")
    before, after = _pads(statement, x, kernel, stride, [1, 1])
    if attributes.get("ceil_mode", 0):
        for axis, extent in enumerate(x.shape[2:]):
            more = -(extent + before[axis] + after[axis] - kernel[axis]) % stride[axis]
            # A last window counts if it begins inside the map or before it.
            if more and more < kernel[axis] - after[axis]:
                if statement.kind != "MaxPool":
                    low.program.refuse(statement, "ceil_mode adds a window that is not whole")
                after[axis] += more
    return kernel, stride, before, after


def _pool(
    low: Lowering,
    statement: Statement,
    x: Tensor,
    kind: str,
    geometry: Geometry,
    fill: float,
    **fields: bool,
) -> Tensor:
    kernel, stride, before, after = geometry
    padding = before
    if before != after or any(p > k // 2 for p, k in zip(before, kernel, strict=True)):
        if fields.get("count_padding") is False:
            low.program.refuse(statement, f"pads {before} and {after} that are not counted")
        x, padding = _padded(low, statement.name, x, before, after, fill), [0, 0]
    shape = (*x.shape[:2], *_sizes(x, padding, kernel, stride))
    window: dict[str, Any] = {"kernel_size": kernel, "stride": stride, "padding": padding}
    return low.writer.add(statement.name, kind, [x], shape, **window, **fields)


def max_pool(low: Lowering, statement: Statement, values: list[Value | None]) -> list[Value]:
    """MaxPool of maps, without the places of the largest."""
    if len(statement.outputs) > 1 and statement.outputs[1]:
        low.program.refuse(statement, "it gives indices")
    x = _map(low, statement, values[0])
    return [_pool(low, statement, x, "MaxPool", _pool_geometry(low, statement, x), _LOWEST)]


def average_pool(low: Lowering, statement: Statement, values: list[Value | None]) -> list[Value]:
    """AveragePool of maps, its padding counted or not."""
    x = _map(low, statement, values[0])
    geometry = _, _, before, after = _pool_geometry(low, statement, x)
    counted = bool(statement.attributes.get("count_include_pad", 0)) or not any(before + after)
    return [_pool(low, statement, x, "AvgPool", geometry, 0.0, count_padding=counted)]


def resize(low: Lowering, statement: Statement, values: list[Value | None]) -> list[Value]:
    """Resize: to a whole multiple of the size; nearest, where that repeats pixels, or bilinear with
    pixel centres aligned.
    """
    x = _map(low, statement, values[0])
    policy = statement.attributes.get("keep_aspect_ratio_policy", "stretch")
    if policy != "stretch":
        low.program.refuse(statement, f"keep_aspect_ratio_policy is {policy!r}; expected 'stretch'")
    axes = list(statement.attributes.get("axes", range(4)))
    if axes != list(range(4)):
        low.program.refuse(statement, f"axes is {axes}; expected sizes or scales of all four")
    sizes = integers(low, statement, values, 3, "sizes")
    if sizes is None or len(sizes) < 4:
        scales = floats(array(low, statement, values, 2, "scales")).reshape(-1)
        sizes = [int(extent * scale) for extent, scale in zip(x.shape, scales, strict=True)]
    if tuple(sizes) == x.shape:
        return [x]
    factors = [new // old for new, old in zip(sizes, x.shape, strict=True)]
    whole = all(f * old == new for f, old, new in zip(factors, x.shape, sizes, strict=True))
    if not whole or factors[:2] != [1, 1]:
        opened = " (the file leaves the images' size open; with a fixed one it may load)"
        expected = f"multiples{opened if low.program.leaves_sizes_open else ''}"
        low.program.refuse(statement, f"it makes {tuple(sizes)} of {x.shape}; expected {expected}")
    mode = statement.attributes.get("mode", "nearest")
    centres = statement.attributes.get("coordinate_transformation_mode", "half_pixel")
    if mode == "nearest" and centres in ("asymmetric", "half_pixel", "pytorch_half_pixel"):
        rounding = statement.attributes.get("nearest_mode", "round_prefer_floor")
        if not all(_repeats(factor, centres, rounding) for factor in factors[2:]):
            how = f"nearest_mode {rounding!r} with coordinate_transformation_mode {centres!r}"
            low.program.refuse(statement, f"{how} does not repeat every pixel {factors[2:]} times")
        return [_repeated(low, statement, x, factors[2:])]
    if mode == "linear" and centres in ("half_pixel", "pytorch_half_pixel"):
        return [low.writer.add(statement.name, "Resize", [x], sizes, scale=factors[2:])]
    return low.program.refuse(
        statement,
        f"mode {mode!r} with coordinate_transformation_mode {centres!r}; expected nearest, or "
        "linear with half_pixel",
    )


def _repeats(factor: int, centres: str, rounding: str) -> bool:
    """Whether the first `factor` places of a longer axis show its first pixel, and so on."""
    two = 2 * factor  # places are multiples of 1 / two, exactly
    places = [2 * i if centres == "asymmetric" else 2 * i + 1 - factor for i in range(factor)]
    nearest = {
        "floor": lambda at: at // two,
        "ceil": lambda at: -(-at // two),
        "round_prefer_floor": lambda at: -((factor - at) // two),
        "round_prefer_ceil": lambda at: (at + factor) // two,
    }.get(rounding)
    return nearest is not None and not any(map(nearest, places))


def _repeated(low: Lowering, statement: Statement, x: Tensor, factors: list[int]) -> Tensor:
    """Every pixel so many times in either direction."""
    n, c, h, w = x.shape
    name, ones = statement.name, np.ones((1, factors[0], 1, factors[1]), np.float32)
    split = low.reshaped(f"{name}.split", x, (n, c * h, 1, w, 1))
    repeated = low.arithmetic(name, "multiply", split, low.constant(ones[0], name))
    return low.reshaped(f"{name}.joined", repeated, (n, c, h * factors[0], w * factors[1]))
