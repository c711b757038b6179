"""Self-attention by its parts: what reads one layer's tokens and is softmax(Q K^T / sqrt(d)) V.

Programs spell it with reshapes, transpositions and slices in any order, with scales before or after
the product. Which feature of which token an element is, is computed by moving numbers of places
through these operators, whatever they are; queries, keys and values may come of one linear layer
or of three that read the same.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mobileone.checkpoint.graphs.writer import GraphWriter, Made, Tensor

__all__ = ["recognise_attention"]

Places = npt.NDArray[np.int64]

# Elements whose places are followed; a larger tensor is no image's tokens.
_MAX_ELEMENTS = 1 << 24
# Relative: a scale was rounded to float32, as one number or as two.
_SCALE_ERROR = 4 * 2.0**-24


@dataclass(frozen=True)
class _Part:
    """Queries, keys or values: of every head and its features the row of a linear layer's weights;
    times a factor.
    """

    linear: str
    rows: Places  # [heads, features of one]
    factor: float


def recognise_attention(writer: GraphWriter) -> None:
    """Replace every self-attention in place: a linear layer and an Attention for its result."""
    readers: dict[str, list[str]] = {}
    for name, node in writer.nodes.items():
        for given in node.inputs:
            readers.setdefault(given.node, []).append(name)
    for name in [name for name, node in writer.nodes.items() if node.kind == "MatMul"]:
        _replace(writer, name, readers)


def _replace(writer: GraphWriter, name: str, readers: Mapping[str, list[str]]) -> None:
    """If that product is softmax(...) V of a self-attention whose heads are then joined."""
    weights, value = writer.nodes[name].inputs
    softmax = writer.made(weights)
    shape = writer.shapes[name]
    if softmax.kind != "Softmax" or len(shape) != 4 or value.batch != 0:
        return
    if softmax.attributes["axis"] != 3:
        return
    scores, factor = _scaled(writer, softmax.inputs[0])
    if writer.made(scores).kind != "MatMul":
        return
    query, key = writer.made(scores).inputs
    joined = _joined(writer, name, readers)
    parts = [_part(writer, query, (0, 1, 2, 3)), _part(writer, key, (0, 1, 3, 2))]
    parts.append(_part(writer, value, (0, 1, 2, 3)))
    if joined is None or any(part is None for part in parts):
        return
    found = [part for part in parts if part is not None]
    scale = factor * found[0].factor * found[1].factor * math.sqrt(shape[3])
    same = len({writer.nodes[part.linear].inputs[0] for part in found}) == 1
    alike = len({part.rows.shape for part in found}) == 1
    if not (same and alike and abs(scale - 1) <= _SCALE_ERROR and found[2].factor == 1):
        return
    _insert(writer, joined, found)


def _scaled(writer: GraphWriter, tensor: Tensor) -> tuple[Tensor, float]:
    """What a tensor is a multiple of, and the factor."""
    factor = 1.0
    while writer.made(tensor).kind == "Arithmetic":
        node = writer.made(tensor)
        kind = node.attributes["kind"]
        tensors = [t for t in node.inputs if writer.made(t).kind != "Constant"]
        numbers = [
            writer.made(t).weights["value"]
            for t in node.inputs
            if writer.made(t).kind == "Constant"
        ]
        if kind not in ("multiply", "divide") or len(tensors) != 1 or numbers[0].size != 1:
            break
        number = float(numbers[0].reshape(-1)[0])
        if number == 0 or (kind == "divide" and node.inputs[0] != tensors[0]):
            break
        factor *= number if kind == "multiply" else 1 / number
        tensor = tensors[0]
    return tensor, factor


def _places(writer: GraphWriter, tensor: Tensor) -> tuple[str, Places, float] | None:
    """The linear layer that makes a tensor's elements, each one's place in its result, a factor."""
    path: list[Tensor] = []
    total = 1.0
    while True:
        tensor, factor = _scaled(writer, tensor)
        total *= factor
        node = writer.made(tensor)
        if node.kind == "Linear":
            break
        if node.kind not in ("Reshape", "Transpose", "Slice"):
            return None
        path.append(tensor)
        tensor = node.inputs[0]
    if len(tensor.shape) != 3 or math.prod(tensor.shape) > _MAX_ELEMENTS:
        return None
    places: Places = np.arange(math.prod(tensor.shape)).reshape(tensor.shape)
    for moved in reversed(path):
        places = _moved(writer.made(moved), places, moved.shape)
    return tensor.node, places, total


def _moved(node: Made, places: Places, shape: tuple[int, ...]) -> Places:
    if node.kind == "Reshape":
        return places.reshape(shape)
    if node.kind == "Transpose":
        turned: Places = places.transpose(node.attributes["perm"])
        return turned
    where = [slice(None)] * places.ndim
    told = node.attributes
    where[told["axis"]] = slice(told["start"], told["end"], told["step"])
    taken: Places = places[tuple(where)]
    return taken


def _part(writer: GraphWriter, tensor: Tensor, order: tuple[int, ...]) -> _Part | None:
    """A part whose axes, in that order, are images, heads, tokens, features."""
    found = _places(writer, tensor)
    if found is None or found[1].ndim != 4:
        return None
    linear, places, factor = found
    images, tokens, features = writer.shapes[linear]
    places = places.transpose(order)
    if places.shape[0] != images or places.shape[2] != tokens:
        return None
    rows = places[0, :, 0, :]
    image = np.arange(images).reshape(-1, 1, 1, 1) * tokens * features
    token = np.arange(tokens).reshape(1, 1, -1, 1) * features
    if rows.min() < 0 or rows.max() >= features:
        return None
    fits = np.array_equal(places, image + token + rows[None, :, None, :])
    return _Part(linear, rows, factor) if fits else None


def _joined(writer: GraphWriter, name: str, readers: Mapping[str, list[str]]) -> str | None:
    """The node that has the heads' results beside each other: [images, tokens, features]."""
    images, heads, tokens, size = writer.shapes[name]
    if math.prod(writer.shapes[name]) > _MAX_ELEMENTS:
        return None
    places: Places = np.arange(math.prod(writer.shapes[name])).reshape(writer.shapes[name])
    wanted = places.transpose(0, 2, 1, 3).reshape(images, tokens, heads * size)
    while len(readers.get(name, [])) == 1:
        (name,) = readers[name]
        node = writer.nodes[name]
        if node.kind not in ("Reshape", "Transpose"):
            return None
        places = _moved(node, places, writer.shapes[name])
        if np.array_equal(places, wanted):
            return name
    return None


def _insert(writer: GraphWriter, joined: str, parts: list[_Part]) -> None:
    """The layer that makes queries, keys and values in the engine's order, and the attention."""
    layers = [writer.nodes[part.linear] for part in parts]
    rows = [part.rows.reshape(-1) for part in parts]
    weights = {
        "weight": np.concatenate(
            [n.weights["weight"][r] for n, r in zip(layers, rows, strict=True)]
        )
    }
    bias = any(node.attributes["bias"] for node in layers)
    if bias:
        # One without a bias has zeros.
        weights["bias"] = np.concatenate([
            node.weights["bias"][r] if node.attributes["bias"] else np.zeros(len(r), np.float32)
            for node, r in zip(layers, rows, strict=True)
        ])  # fmt: skip
    made, given = len(weights["weight"]), layers[0].inputs[0]
    attributes = {"in_features": given.shape[-1], "out_features": made, "bias": bias}
    shape = (*given.shape[:-1], made)
    linear = writer.insert(
        joined, f"{joined}.qkv", Made("Linear", (given,), attributes, weights), shape
    )
    heads = {"heads": parts[0].rows.shape[0]}
    writer.nodes[joined] = Made("Attention", (linear,), heads)
