"""The network as an ONNX model: `Model.export_onnx`'s, with the shapes filled in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from benchmarks.runtimes.formats.network import WEIGHTS, read_network

__all__ = ["write_onnx"]


def write_onnx(folder: Path, path: Path) -> None:
    """Runtimes plan memory and fold more where sizes are fixed, so batch and image size are."""
    import mobileone
    import onnx
    from mobileone.interchange.onnx.export import onnx_model

    network = read_network(folder)
    _, _, height, width = network.input_shape
    proto = onnx_model(mobileone.load(folder / WEIGHTS).bundle, input_size=(height, width))
    _fix_shape(proto.graph.input[0], network.input_shape)
    _fix_shape(proto.graph.output[0], network.shapes[network.output])
    onnx.checker.check_model(proto, full_check=True)
    onnx.save(proto, path)


def _fix_shape(value: Any, shape: tuple[int, ...]) -> None:
    for dimension, size in zip(value.type.tensor_type.shape.dim, shape, strict=True):
        dimension.dim_value = size
