"""Cases that are ONNX files: rivals that read ONNX get the file itself, others the same network."""

from __future__ import annotations

import os
from pathlib import Path

import mobileone
import pytest
from mobileone._core import initialize
from mobileone.families.imported import FAMILY, config_of
from mobileone.studies.architectures.layers import Layers

from benchmarks.runtimes.case import write_case
from benchmarks.runtimes.registry import OURS, find_engine

from .support import ORT, by_name, run

onnx = pytest.importorskip("onnx")


def activations() -> Layers:
    """Every activation that published mobile networks have, a depthwise convolution that doubles
    channels, one of a large kernel."""
    net = Layers()
    x = net.conv(net.image, 12, 3, 2, "gelu")
    x = net.conv(x, 24, 7, 2, "relu6", groups=12)
    x = net.act(net.depthwise(x, 3), "hard_swish")
    x = net.squeeze_excite(x, 6, "relu", "hard_sigmoid")
    net.classified(net.conv(x, 20, act="silu"))
    return net


@pytest.fixture
def file(tmp_path: Path) -> Path:
    graph = activations().builder.build()
    network = initialize(graph, 1)
    model = mobileone.Model(network, config_of(graph, (1, 3, 64, 64)), arch=FAMILY.name)
    path = tmp_path / "network.onnx"
    model.export_onnx(path, input_size=64, dynamic_batch=False)
    return path


@pytest.mark.parametrize("engine", ["openvino", "onnxruntime", "litert"])
def test_every_engine_computes_the_same(engine: str, file: Path, tmp_path: Path) -> None:
    if find_engine(engine).version() is None:
        pytest.skip(f"{engine} is not installed")
    folder = tmp_path / "case"
    folder.mkdir()
    entry = by_name(run(write_case(os.fspath(file), 1, 64, 0, folder), [OURS, engine]), engine)
    assert entry.failure is None
    assert entry.error is not None
    assert entry.error <= 1


@pytest.mark.parametrize(("size", "same"), [(64, True), (96, False)])
def test_files_of_the_size_are_used_as_they_are(
    file: Path, tmp_path: Path, size: int, same: bool
) -> None:
    pytest.importorskip("onnxruntime")
    folder = tmp_path / "case"
    folder.mkdir()
    case = write_case(os.fspath(file), 1, size, 0, folder)
    assert by_name(run(case, [OURS, ORT]), ORT).failure is None
    assert ((folder / "model.onnx").read_bytes() == file.read_bytes()) == same
    shape = onnx.load(folder / "model.onnx").graph.input[0].type.tensor_type.shape
    assert [d.dim_value for d in shape.dim] == [1, 3, size, size]
