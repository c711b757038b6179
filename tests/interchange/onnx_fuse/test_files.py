"""What else is in a file stays; what is no file, or a damaged one, is an error that says so."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import mobileone
import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mobileone.cli import main
from mobileone.interchange.onnx.fuse import geometry
from mobileone.interchange.onnx.fuse.verb import fuse_onnx
from onnx import external_data_helper, helper, numpy_helper

from .graphs import FLOAT, Graph, fuse, kinds, session

C = 6


def block(graph: Graph, out: str = "") -> str:
    """Two branches of x."""
    wide = graph.norm(graph.conv("x", (C, C, 3, 3), pads=[1] * 4), C)
    return graph.add("Add", wide, graph.norm("x", C), out=out)


def rich() -> onnx.ModelProto:
    """A block among what a file can hold besides."""
    graph = Graph(C)
    inside = helper.make_graph(
        [helper.make_node("Add", ["merged", "big"], ["inner"])],
        "inside",
        [],
        [helper.make_tensor_value_info("inner", FLOAT, None)],
        [numpy_helper.from_array(np.ones((C, 1, 1), np.float32), "big")],
    )
    block(graph, out="merged")
    yes = graph.constant(np.array(True))
    graph.add("If", yes, out="chosen", then_branch=inside, else_branch=inside)
    graph.nodes.append(
        helper.make_node("Mystery", ["chosen"], ["odd"], "odd one", domain="test.custom", depth=3)
    )
    graph.nodes.append(helper.make_node("Twice", ["odd"], ["y"], domain="test.custom"))
    body = [helper.make_node("Add", ["a", "a"], ["b"])]
    opset = [helper.make_opsetid("", 17)]
    graph.functions.append(helper.make_function("test.custom", "Twice", ["a"], ["b"], body, opset))
    unread = graph.weight(40, 40)
    model = graph.model(
        producer_name="somebody", producer_version="7", model_version=3, doc_string="a file"
    )
    helper.set_model_props(model, {"licence": "ours", "unread": unread})
    model.graph.doc_string = "a graph"
    model.graph.value_info.append(helper.make_tensor_value_info("chosen", FLOAT, None))
    return model


def test_everything_else_stays_as_it_is(tmp_path: Path) -> None:
    model = rich()
    fusion, fused = fuse(model, tmp_path)
    assert "not run" in fusion.runtime  # nobody knows what Mystery does
    assert kinds(fused) == {"Conv": 1, "If": 1, "Mystery": 1, "Twice": 1}
    # Field by field, with the block put back.
    merged = {n.name for n in fused.graph.node if n.op_type == "Conv"}
    assert [n for n in fused.graph.node if n.name not in merged] == list(model.graph.node)[4:]
    for name in ("input", "output", "value_info", "doc_string", "name"):
        assert getattr(fused.graph, name) == getattr(model.graph, name)
    kept = {tensor.name: tensor for tensor in fused.graph.initializer}
    before = {tensor.name: tensor for tensor in model.graph.initializer}
    assert {n: kept[n] for n in kept.keys() & before.keys()} == {
        name: tensor for name, tensor in before.items() if tensor.name in kept
    }
    assert kept.keys() - before.keys() == {"merged.weight", "merged.bias"}
    fused.ClearField("graph")
    model.ClearField("graph")
    assert fused == model


def test_a_file_without_regions_is_the_same_model(tmp_path: Path) -> None:
    graph = Graph(C)
    graph.add("Relu", graph.conv("x", (C, C, 3, 3)), out="y")
    model = graph.model()
    fusion, fused = fuse(model, tmp_path)
    assert fused == model
    assert not fusion.regions


def test_fields_that_nobody_knows_survive(tmp_path: Path) -> None:
    graph = Graph(C)
    block(graph, out="y")
    source, target = tmp_path / "in.onnx", tmp_path / "out.onnx"
    unknown = b"\x82\x7d\x05later"  # field 2000 of ModelProto: five bytes
    source.write_bytes(graph.model().SerializeToString() + unknown)
    assert mobileone.fuse_onnx(source, target)
    assert unknown in target.read_bytes()


def test_external_weights_stay_external(tmp_path: Path) -> None:
    graph = Graph(C)
    y = graph.conv("x", (40, C, 1, 1))
    y = graph.add("Relu", graph.norm(y, 40))
    y = graph.add("Relu", graph.conv(y, (C, 40, 3, 3)))
    graph.add("Mul", y, graph.constant(np.array(2.0, np.float32)), out="y")
    model = graph.model()
    (tmp_path / "source").mkdir()
    (tmp_path / "target").mkdir()
    source, target = tmp_path / "source" / "in.onnx", tmp_path / "target" / "out.onnx"
    onnx.save(model, source, save_as_external_data=True, location="some.bin", size_threshold=16)
    assert mobileone.fuse_onnx(source, target)
    assert sorted(path.name for path in target.parent.iterdir()) == ["out.onnx", "out.onnx.data"]
    light = onnx.load(target, load_external_data=False)
    large = [t for t in light.graph.initializer if np.prod(t.dims) > 300]
    assert large
    assert all(external_data_helper.uses_external_data(tensor) for tensor in large)
    x = {"x": np.random.default_rng(0).standard_normal((2, C, 9, 8)).astype(np.float32)}
    before, after = (session(path).run(None, x)[0] for path in (source, target))
    assert np.abs(before - after).max() <= 1e-5 * np.abs(before).max()


def test_in_place(tmp_path: Path) -> None:
    graph = Graph(C)
    block(graph, out="y")
    path = tmp_path / "net.onnx"
    onnx.save(graph.model(), path)
    assert mobileone.fuse_onnx(path, path)
    assert kinds(onnx.load(path)) == {"Conv": 1}
    assert [entry.name for entry in tmp_path.iterdir()] == ["net.onnx"]


def test_weights_are_read_from_every_field(tmp_path: Path) -> None:
    """Listed as floats, as the bits of halves, in Constant nodes, through a Transpose."""
    graph = Graph(C)
    y = graph.add("MatMul", "x", graph.add("Transpose", graph.weight(8, C), perm=[1, 0]))
    values = np.arange(8, dtype=np.float32) / 8
    constant = numpy_helper.from_array(values)
    y = graph.add("Add", y, graph.add("Constant", value=constant))
    y = graph.add("Mul", y, graph.add("Constant", value_floats=[0.5] * 8))
    graph.add("Sub", y, graph.add("Constant", value_float=0.25), out="y")
    graph.inputs[0] = helper.make_tensor_value_info("x", FLOAT, ["N", 3, C])
    model = graph.model()
    weight = model.graph.initializer[0]
    listed = helper.make_tensor("w0", FLOAT, weight.dims, numpy_helper.to_array(weight).reshape(-1))
    weight.CopyFrom(listed)
    _, fused = fuse(model, tmp_path, ((2, 3, C),), input_shapes={"x": [2, 3, C]})
    assert kinds(fused) == {"MatMul": 1, "Add": 1}
    assert len(fused.graph.initializer) == 2


def test_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    graph = Graph(C)
    block(graph, out="y")
    source, target = tmp_path / "net.onnx", tmp_path / "fused.onnx"
    onnx.save(graph.model(), source)
    assert main(["fuse", str(source), "-o", str(target)]) == 0
    text = capsys.readouterr().out
    assert "4 → 1" in text
    assert f"saved: {target}" in text
    assert kinds(onnx.load(target)) == {"Conv": 1}
    source.write_bytes(b"no model")
    assert main(["fuse", str(source), str(tmp_path / "no.onnx")]) == 1
    assert "net.onnx" in capsys.readouterr().err
    assert not (tmp_path / "no.onnx").exists()


def test_what_cannot_be_written_is_said_before_the_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "none.onnx"  # which nobody reads
    for out in ("fused.safetensors", "fused", "fused.onnx.txt"):
        with pytest.raises(ValueError, match=r"out is .*; expected a name that ends with \.onnx"):
            fuse_onnx(source, tmp_path / out)
    with pytest.raises(FileNotFoundError, match=r"folder.x\.onnx"):
        fuse_onnx(source, tmp_path / "folder" / "x.onnx")
    for options in (["--arch", "mobileone_s0"], ["--no-strict", "--num-classes", "3"]):
        assert main(["fuse", str(source), str(tmp_path / "x.onnx"), *options]) == 2
        said = capsys.readouterr().err
        assert "--arch: for" in said or "--strict, --num-classes: for checkpoint files" in said
    checkpoint = tmp_path / "none.safetensors"
    assert main(["fuse", str(checkpoint), str(tmp_path / "folder" / "x.safetensors")]) == 1
    assert "folder" in capsys.readouterr().err


@pytest.mark.parametrize("bias", [False, True])
def test_a_wrong_algebra_is_caught(
    bias: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The proof is independent of how regions are found: nothing wrong is written."""
    graph = Graph(C)
    kernel, padding = (1, 0) if bias else (3, 1)
    inner = graph.conv("x", (1, C, kernel, kernel), pads=[padding] * 4, bias=bias)
    twice = graph.conv(inner, (C, 1, 3, 3), pads=[1] * 4)
    graph.add("Add", twice, graph.conv("x", (C, C, 5, 5), pads=[2] * 4), out="y")
    source, target = tmp_path / "in.onnx", tmp_path / "out.onnx"
    onnx.save(graph.model(), source)
    monkeypatch.setattr(geometry, "_border_problem", lambda outer, inner: "")
    fusion = mobileone.fuse_onnx(source, target)
    assert len(fusion.regions) == 1
    assert not fusion
    assert fusion.rows[0].ratio > 1e3
    assert "was not written" in fusion.message
    assert not target.exists()


def test_shapes_of_inputs_are_checked(tmp_path: Path) -> None:
    graph = Graph(C)
    block(graph, out="y")
    with pytest.raises(ValueError, match=r"input_shapes\['x'\] is \[1, 6\]; expected 4 extents"):
        fuse(graph.model(), tmp_path, input_shapes={"x": [1, 6]})


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda m: m.graph.initializer[0].dims.append(2), "bytes; expected"),
        (lambda m: m.graph.initializer.add().CopyFrom(m.graph.initializer[0]), "two initializers"),
        (lambda m: m.graph.node.add().CopyFrom(m.graph.node[0]), "is there already"),
        (lambda m: m.graph.node[0].input.append("nobody"), "which nothing before it makes"),
        (lambda m: m.graph.ClearField("node"), "no node"),
        (lambda m: _outside(m, "../secret"), "not below the model's own folder"),
        (lambda m: _outside(m, "/etc/passwd"), "not below the model's own folder"),
        (lambda m: _outside(m, "missing.bin"), "is missing"),
    ],
)
def test_a_damaged_model_is_an_error_that_says_where(
    damage: object, message: str, tmp_path: Path
) -> None:
    graph = Graph(C)
    block(graph, out="y")
    model = graph.model()
    damage(model)  # type: ignore[operator]
    path = tmp_path / "damaged.onnx"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(mobileone.CheckpointError, match=message) as caught:
        mobileone.fuse_onnx(path, tmp_path / "out.onnx")
    assert "damaged.onnx" in str(caught.value)
    assert [entry.name for entry in tmp_path.iterdir()] == ["damaged.onnx"]


@pytest.mark.parametrize("bits", [0x7F800001, 0x7FC00000], ids=["signalling", "quiet"])
def test_nan_among_weights_is_left_as_it_is_without_a_warning(bits: int, tmp_path: Path) -> None:
    graph = Graph(C)
    block(graph, out="y")
    for index in range(len(graph.model().graph.initializer)):
        model = graph.model()
        tensor = model.graph.initializer[index]
        values = numpy_helper.to_array(tensor).copy()
        values.reshape(-1)[:1].view(np.uint32)[...] = bits
        tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
        fusion, _ = fuse(model, tmp_path, run=False)
        assert any("finite" in left.reason for left in fusion.left), (tensor.name, fusion.left)


def _outside(model: onnx.ModelProto, location: str) -> None:
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", location


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_mutated_files_are_clear_errors(
    seed: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    from .fuzz import check_mutated

    check_mutated(seed, tmp_path_factory.getbasetemp())


def test_memory_stays_below_four_files(tmp_path: Path) -> None:
    """Peak of a process of its own; run and proof included, the interpreter's own share too."""
    graph = Graph(C)
    y = graph.conv("x", (512, C, 1, 1))
    for _ in range(2):
        wide = graph.norm(graph.conv(y, (512, 512, 3, 3), pads=[1] * 4), 512)
        y = graph.add("Relu", graph.add("Add", wide, graph.conv(y, (512, 512, 1, 1))))
    graph.add("Relu", y, out="y")
    path = tmp_path / "net.onnx"
    onnx.save(graph.model(), path)
    del graph
    script = (
        "import resource, mobileone;"
        f"assert mobileone.fuse_onnx({str(path)!r}, {str(tmp_path / 'out.onnx')!r},"
        " input_shapes={'x': [1, 6, 4, 4]});"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)"
    )
    base = "import resource, onnx, onnxruntime, mobileone.interchange.onnx.fuse.verb;"
    base += "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)"
    peaks = [
        int(subprocess.run([sys.executable, "-c", s], check=True, capture_output=True).stdout)
        for s in (base, script)
    ]
    assert peaks[1] - peaks[0] < 4 * path.stat().st_size
