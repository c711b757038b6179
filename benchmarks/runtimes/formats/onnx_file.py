"""The network as an ONNX model: the file that it was read from, or `Model.export_onnx`'s, with the
shapes filled in."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from benchmarks.runtimes.formats.network import WEIGHTS, read_network

__all__ = ["SOURCE", "write_onnx"]

SOURCE = "source.onnx"  # where the case is an ONNX file: what rivals are given


def write_onnx(folder: Path, path: Path) -> None:
    """Runtimes plan memory and fold more where sizes are fixed, so batch and image size are."""
    import mobileone
    import onnx
    from mobileone.interchange.onnx.export import onnx_model

    network = read_network(folder)
    if (folder / SOURCE).exists() and _shape(folder / SOURCE) == network.input_shape:
        shutil.copyfile(folder / SOURCE, path)
        return
    _, _, height, width = network.input_shape
    proto = onnx_model(mobileone.load(folder / WEIGHTS).bundle, input_size=(height, width))
    _fix_shape(proto.graph.input[0], network.input_shape)
    _fix_shape(proto.graph.output[0], network.shapes[network.output])
    onnx.checker.check_model(proto, full_check=True)
    onnx.save(proto, path)


def _shape(path: Path) -> tuple[int, ...]:
    """Of the file's input; 0 for what is open."""
    import onnx

    given = onnx.load(path, load_external_data=False).graph.input[0]
    return tuple(dimension.dim_value for dimension in given.type.tensor_type.shape.dim)


def _fix_shape(value: Any, shape: tuple[int, ...]) -> None:
    for dimension, size in zip(value.type.tensor_type.shape.dim, shape, strict=True):
        dimension.dim_value = size
