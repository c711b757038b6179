"""A transformer's operators in LiteRT's, of kinds that XNNPACK runs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from benchmarks.runtimes.formats.network import Network, Step
from benchmarks.runtimes.formats.tflite_writer import TfliteWriter

__all__ = ["TRANSLATIONS"]

# Appends a step's operators to its inputs' tensors; the index of its result. Maps are NHWC.
Translation = Callable[[TfliteWriter, Network, Step, list[int]], int]


def _layer_norm(writer: TfliteWriter, network: Network, step: Step, inputs: list[int]) -> int:
    """From elementwise operators: LiteRT has none of its own."""
    name, x = step.output, inputs[0]
    mean = writer.mean(x, (2,), f"{name}.mean")
    centred = writer.binary("SUB", x, mean, f"{name}.centred")
    square = writer.binary("MUL", centred, centred, f"{name}.square")
    variance = writer.mean(square, (2,), f"{name}.variance")
    eps = writer.constant(f"{name}.eps", np.array([step.attributes["eps"]], np.float32))
    inverse = writer.unary(
        "RSQRT", writer.binary("ADD", variance, eps, f"{name}.positive"), f"{name}.inverse"
    )
    normalised = writer.binary("MUL", centred, inverse, f"{name}.normalised")
    weight, bias = (
        writer.constant(f"{step.name}.{part}", network.weights[f"{step.name}.{part}"])
        for part in ("weight", "bias")
    )
    return writer.binary(
        "ADD", writer.binary("MUL", normalised, weight, f"{name}.scaled"), bias, name
    )


def _attention(writer: TfliteWriter, network: Network, step: Step, inputs: list[int]) -> int:
    name, heads = step.output, step.attributes["heads"]
    batch, tokens, features = network.shapes[step.output]
    size = features // heads
    packed = writer.reshape(inputs[0], (batch, tokens, 3 * heads, size), f"{name}.heads")
    packed = writer.transpose(packed, (0, 2, 1, 3), f"{name}.by_head")
    query, key, value = (
        _slice(writer, packed, part * heads, heads, f"{name}.{label}")
        for part, label in enumerate(("query", "key", "value"))
    )
    scale = writer.constant(f"{name}.scale", np.array([size**-0.5], np.float32))
    query = writer.binary("MUL", query, scale, f"{name}.scaled")
    scores = _matmul(writer, query, key, f"{name}.scores", transposed=True)
    weights = writer.unary("SOFTMAX", scores, f"{name}.weights", "SoftmaxOptions", beta=1.0)
    mixed = _matmul(writer, weights, value, f"{name}.mixed", transposed=False)
    together = writer.transpose(mixed, (0, 2, 1, 3), f"{name}.by_token")
    return writer.reshape(together, (batch, tokens, features), name)


def _slice(writer: TfliteWriter, source: int, start: int, count: int, name: str) -> int:
    """``count`` heads of [B, heads, N, head size]."""
    shape = writer.shape(source)
    wanted = (shape[0], count, *shape[2:])
    bounds = [
        writer.constant(f"{name}.begin", np.array((0, start, 0, 0), np.int32)),
        writer.constant(f"{name}.size", np.array(wanted, np.int32)),
    ]
    return writer.operator("SLICE", [source, *bounds], writer.tensor(name, wanted), "SliceOptions")


def _matmul(writer: TfliteWriter, left: int, right: int, name: str, *, transposed: bool) -> int:
    columns = writer.shape(right)[-2 if transposed else -1]
    output = writer.tensor(name, (*writer.shape(left)[:-1], columns))
    return writer.operator(
        "BATCH_MATMUL", [left, right], output, "BatchMatMulOptions", adjX=False, adjY=transposed
    )


def _unfold(writer: TfliteWriter, network: Network, step: Step, inputs: list[int]) -> int:
    name, (rows, columns) = step.output, step.attributes["patch"]
    batch, channels, height, width = network.shapes[step.inputs[0]]
    split = (batch, height // rows, rows, width // columns, columns, channels)
    image = writer.reshape(inputs[0], split, f"{name}.split")
    sequences = writer.transpose(image, (0, 2, 4, 1, 3, 5), f"{name}.by_position")
    return writer.reshape(sequences, network.shapes[name], name)


def _fold(writer: TfliteWriter, network: Network, step: Step, inputs: list[int]) -> int:
    name, (rows, columns) = step.output, step.attributes["patch"]
    batch, channels, height, width = network.shapes[name]
    split = (batch, rows, columns, height // rows, width // columns, channels)
    sequences = writer.reshape(inputs[0], split, f"{name}.split")
    image = writer.transpose(sequences, (0, 3, 1, 4, 2, 5), f"{name}.by_pixel")
    return writer.reshape(image, (batch, height, width, channels), name)


def _resize(writer: TfliteWriter, network: Network, step: Step, inputs: list[int]) -> int:
    batch, channels, height, width = network.shapes[step.output]
    shape = (batch, height, width, channels)
    if shape == writer.shape(inputs[0]):
        return inputs[0]
    size = writer.constant(f"{step.output}.size", np.array((height, width), np.int32))
    return writer.operator(
        "RESIZE_BILINEAR",
        [inputs[0], size],
        writer.tensor(step.output, shape),
        "ResizeBilinearOptions",
        alignCorners=False,
        halfPixelCenters=True,
    )


TRANSLATIONS: dict[str, Translation] = {
    "LayerNorm": _layer_norm,
    "Attention": _attention,
    "Unfold": _unfold,
    "Fold": _fold,
    "Resize": _resize,
}
