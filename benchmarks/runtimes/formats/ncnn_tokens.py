"""A transformer's operators in ncnn's layers; tokens are [sequences x tokens, features]."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.runtimes.formats.ncnn_writer import NcnnWriter, tagged
from benchmarks.runtimes.formats.network import Network, Step

__all__ = ["TRANSLATIONS", "linear"]

# Appends a step's layers to its inputs' blobs; the blob of its result.
Translation = Callable[[NcnnWriter, Network, Step, list[str]], str]

# Of ncnn's numbers of axis orders: a matrix per channel transposed, and [C, D, H, W] to
# [C, H, D, W].
_TRANSPOSED, _SWAPPED = 1, 2
# Of Reorg and PixelShuffle: the position inside the patch is the outer part of the channel.
_POSITION_FIRST = 1


def linear(writer: NcnnWriter, network: Network, step: Step, inputs: list[str]) -> str:
    """A Gemm with a constant, transposed second matrix and a bias per column."""
    a = step.attributes
    fields = {3: 1, 5: 1, 6: 1, 8: a["out_features"], 9: a["in_features"], 10: 4}
    parts = [tagged(network.weights[f"{step.name}.{part}"]) for part in ("weight", "bias")]
    return writer.layer("Gemm", step.name, inputs, step.output, fields, parts)


def _layer_norm(writer: NcnnWriter, network: Network, step: Step, inputs: list[str]) -> str:
    a = step.attributes
    parts = [network.weights[f"{step.name}.{part}"].tobytes() for part in ("weight", "bias")]
    fields = {0: a["channels"], 1: f"{a['eps']:e}", 2: 1}
    return writer.layer("LayerNorm", step.name, inputs, step.output, fields, parts)


def _attention(writer: NcnnWriter, network: Network, step: Step, inputs: list[str]) -> str:
    name, heads = step.output, step.attributes["heads"]
    sequences, tokens, features = network.shapes[step.output]
    size = features // heads
    labels = [f"{name}.{label}" for label in ("query", "key", "value")]
    # Along the columns, into three equal parts.
    parts = writer.layers("Slice", f"{name}.slice", inputs, labels, {0: [-233] * 3, 1: 1})
    by_head = []
    for part in parts:
        split = writer.reshape(part, (sequences, tokens, heads, size), f"{part}.split")
        swapped = writer.permute(split, _SWAPPED, f"{part}.swapped")
        by_head.append(writer.reshape(swapped, (sequences * heads, tokens, size), f"{part}.heads"))
    mixed = writer.layer("SDPA", name, by_head, f"{name}.mixed")
    split = writer.reshape(mixed, (sequences, heads, tokens, size), f"{name}.split")
    swapped = writer.permute(split, _SWAPPED, f"{name}.swapped")
    return writer.reshape(swapped, (sequences * tokens, features), name)


def _unfold(writer: NcnnWriter, network: Network, step: Step, inputs: list[str]) -> str:
    name = step.output
    stride = _square(step)
    sequences, tokens, channels = network.shapes[name]
    packed = writer.layer("Reorg", name, inputs, f"{name}.packed", {0: stride, 1: _POSITION_FIRST})
    matrices = writer.reshape(packed, (sequences, channels, tokens), f"{name}.matrices")
    transposed = writer.permute(matrices, _TRANSPOSED, f"{name}.transposed")
    return writer.reshape(transposed, (sequences * tokens, channels), name)


def _fold(writer: NcnnWriter, network: Network, step: Step, inputs: list[str]) -> str:
    name = step.output
    stride = _square(step)
    sequences, tokens, channels = network.shapes[step.inputs[0]]
    _, _, height, width = network.shapes[name]
    matrices = writer.reshape(inputs[0], (sequences, tokens, channels), f"{name}.matrices")
    transposed = writer.permute(matrices, _TRANSPOSED, f"{name}.transposed")
    shape = (sequences * channels, height // stride, width // stride)
    packed = writer.reshape(transposed, shape, f"{name}.packed")
    return writer.layer("PixelShuffle", name, [packed], name, {0: stride, 1: _POSITION_FIRST})


def _square(step: Step) -> int:
    rows, columns = step.attributes["patch"]
    if rows != columns:
        raise NotImplementedError(f"{step.name}: patch is {rows} x {columns}; ncnn needs a square")
    return int(rows)


def _resize(writer: NcnnWriter, network: Network, step: Step, inputs: list[str]) -> str:
    _, _, height, width = network.shapes[step.output]
    if (height, width) == network.shapes[step.inputs[0]][2:]:
        return inputs[0]
    bilinear = 2
    fields = {0: bilinear, 3: height, 4: width}
    return writer.layer("Interp", step.name, inputs, step.output, fields)


TRANSLATIONS: dict[str, Translation] = {
    "LayerNorm": _layer_norm,
    "Attention": _attention,
    "Unfold": _unfold,
    "Fold": _fold,
    "Resize": _resize,
}
