"""A quantized network in NumPy's 64-bit integers, written from docs/low_precision.md alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import mobileone
import numpy as np
from numpy.typing import NDArray


def dequantized_levels(model: mobileone.Model, x: NDArray) -> list[NDArray]:
    """The feature levels as far as they are a Dequantize, and its scale, of integer maps."""
    maps = integer_maps(model, x)
    return [maps[name] for name in model.graph.feature_names if name in maps]


def integer_maps(model: mobileone.Model, x: NDArray) -> dict[str, NDArray]:
    """By node, as far as integers go."""
    maps: dict[str, NDArray] = {}
    weights = model.network.weights()
    for node in model.graph.nodes:
        fields, name = node["attributes"], node["name"]
        inputs = [maps.get(given) for given in node["inputs"]]
        if node["kind"] == "Input":
            maps[name] = x
        elif node["kind"] == "Constant":
            maps[name] = weights[f"{name}.value"]
        elif any(given is None for given in inputs):
            continue
        elif node["kind"] == "Quantize":
            q = np.rint(inputs[0] / np.float32(fields["scale"])) + fields["zero_point"]
            maps[name] = np.clip(q, 0, 255).astype(np.int64)
        elif node["kind"] == "Dequantize":
            centred = (inputs[0] - fields["zero_point"]).astype(np.float32)
            maps[name] = centred * np.float32(fields["scale"])
        elif node["kind"] == "QuantizedConvolution":
            maps[name] = convolve(fields, weights, name, inputs[0])
        elif node["kind"] == "Arithmetic":
            maps[name] = inputs[0] * inputs[1]
        # Anything else is float32 again, and not what this is about.
    return maps


def convolve(
    fields: Mapping[str, Any], weights: Mapping[str, NDArray], name: str, x: NDArray
) -> NDArray:
    weight = weights[f"{name}.weight"].astype(np.int64)
    bias = weights[f"{name}.bias"].astype(np.int64)
    sums = np.zeros(0)
    (rows, columns), (down, across) = fields["kernel_size"], fields["stride"]
    (top, left), groups = fields["padding"], fields["groups"]
    assert tuple(fields["dilation"]) == (1, 1)
    padded = np.pad(x - fields["input_zero_point"], ((0, 0), (0, 0), (top, top), (left, left)))
    height = (padded.shape[2] - rows) // down + 1
    width = (padded.shape[3] - columns) // across + 1
    each, outputs = weight.shape[1], len(weight)
    sums = np.zeros((len(x), outputs, height, width), np.int64)
    for i in range(rows):
        for j in range(columns):
            seen = padded[:, :, i : i + down * height : down, j : j + across * width : across]
            seen = seen[:, :, :height, :width].reshape(len(x), groups, each, height, width)
            taps = weight[:, :, i, j].reshape(groups, outputs // groups, each)
            part = np.einsum("ngchw,goc->ngohw", seen, taps)
            sums += part.reshape(sums.shape)
    sums += bias[:, None, None]
    assert np.abs(sums).max() < 2**31
    scaled = sums.astype(np.float32) * weights[f"{name}.multiplier"][:, None, None]
    if fields["float_result"]:
        return scaled
    least = fields["output_zero_point"] if fields["relu"] else 0
    result = np.rint(scaled) + fields["output_zero_point"]
    return np.clip(result, least, 255).astype(np.int64)
