"""Graphs from Python: built by name, as JSON and pickles, as pictures."""

from __future__ import annotations

import copy
import json
import pickle

import numpy as np
import pytest
from mobileone import _core


def small_graph() -> _core.Graph:
    builder = _core.GraphBuilder()
    x = builder.add("images", "Input", channels=3)
    x = builder.add(
        "conv",
        "Conv2d",
        [x],
        in_channels=3,
        out_channels=8,
        kernel_size=3,
        padding=(1, np.int64(1)),
    )
    builder.feature(x)
    x = builder.add("norm", "BatchNorm", [x], channels=8, eps=np.float32(0.5))
    x = builder.add("act", "Activation", [x], kind="silu")
    x = builder.add("pool", "GlobalAvgPool", [x])
    builder.output(builder.add("fc", "Linear", [x], in_features=8, out_features=5), "logits")
    builder.output("act", "map")
    return builder.build()


def test_a_graph_is_built_from_names() -> None:
    graph = small_graph()
    assert [node["name"] for node in graph.nodes] == ["images", "conv", "norm", "act", "pool", "fc"]
    conv = graph.nodes[1]
    assert conv["kind"] == "Conv2d"
    assert conv["inputs"] == ["images"]
    assert conv["attributes"] == {
        "in_channels": 3,
        "out_channels": 8,
        "kernel_size": [3, 3],
        "stride": [1, 1],
        "padding": [1, 1],
        "dilation": [1, 1],
        "groups": 1,
        "bias": False,
    }
    assert graph.nodes[2]["attributes"]["eps"] == 0.5
    assert graph.input_names == ["images"]
    assert graph.outputs == {"logits": "fc", "map": "act"}
    assert graph.output_name == "fc"
    assert graph.feature_names == ["conv"]
    assert graph.shapes((2, 3, 5, 7))["act"] == (2, 8, 5, 7)
    assert graph.macs((1, 3, 4, 4)) == 16 * 8 * 27 + 40


@pytest.mark.parametrize(
    ("arguments", "attributes", "message"),
    [
        (("x", "Tanh"), {}, r"\[graph\] x: there is no operator Tanh; expected one of .*Unfold"),
        (("x", "Add", ["y"]), {}, r"\[graph\] x: input y is not an earlier node"),
        (("images", "Add", ["images"]), {}, r"\[graph\] two nodes are named images"),
        (("x", "Multiply", ["images"]), {}, r"Multiply has 1 inputs; expected 2"),
        (("x", "Add", ["images"]), {"p": 1}, r"\[Add\] x: there is no p; expected no attributes"),
        (("x", "Dropout", ["images"]), {"p": "1"}, r'\[Dropout\] x: p is "1"; expected a number'),
        (("x", "Dropout", ["images"]), {"p": 1j}, r"\[Dropout\] x: p is 1j; expected"),
        (("x", "Dropout", ["images"]), {"p": None}, r"\[Dropout\] x: p is None; expected"),
        (("x", "Unfold", ["images"]), {"patch": 2**70}, r"patch is \d+; expected an integer of 64"),
        (("x", "Unfold", ["images"]), {"patch": [1, 2, 3]}, r"patch is \[1, 2, 3\]; expected two"),
        (
            ("x", "Unfold", ["images"]),
            {"patch": [1.5, 2]},
            r"patch is \[1\.5, 2\]; expected a bool",
        ),
        (("x", "BatchNorm", ["images"]), {"channels": True}, r"channels is true; expected an int"),
        (
            ("x", "BatchNorm", ["images"]),
            {"channels": 3, "eps": float("nan")},
            r"eps is nan; expected a finite",
        ),
        (("x", "Activation", ["images"]), {"kind": "no"}, r'kind is "no"; expected one of relu, '),
    ],
)
def test_errors_name_operator_and_field(
    arguments: tuple[object, ...], attributes: dict[str, object], message: str
) -> None:
    builder = _core.GraphBuilder()
    builder.add("images", "Input")
    with pytest.raises(ValueError, match=message):
        builder.add(*arguments, **attributes)
    builder.output("images")
    assert len(builder.build().nodes) == 1


def test_a_graph_has_an_output() -> None:
    builder = _core.GraphBuilder()
    with pytest.raises(ValueError, match="there is no output"):
        builder.build()
    with pytest.raises(ValueError, match="no node named x"):
        builder.output("x")


def test_json_is_the_graph() -> None:
    graph = small_graph()
    text = graph.to_json()
    parsed = json.loads(text)
    assert parsed["format"] == "mobileone.graph"
    assert parsed["nodes"] == graph.nodes
    back = _core.Graph.from_json(text)
    assert back == graph
    assert back.to_json() == text
    # Any other writer of JSON will do.
    assert _core.Graph.from_json(json.dumps(parsed, indent=3)) == graph
    parsed["nodes"][1]["attributes"]["stride"] = [2, 1]
    assert _core.Graph.from_json(json.dumps(parsed)) != graph


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": "x"}', "\x00", "[" * 10_000])
def test_what_is_no_graph(text: str) -> None:
    with pytest.raises(ValueError, match=r"\[json\] line|\[graph\]"):
        _core.Graph.from_json(text)


def test_graphs_pickle_and_copy() -> None:
    graph = small_graph()
    for copied in (pickle.loads(pickle.dumps(graph)), copy.deepcopy(graph), copy.copy(graph)):
        assert copied == graph
        assert copied.nodes == graph.nodes
    assert graph != 3


def test_a_picture() -> None:
    lines = small_graph().to_dot().splitlines()
    assert lines[0] == "digraph {"
    assert lines[-1] == "}"
    assert (
        '  3 [label = "act\\nActivation\\nkind = \\"silu\\"", penwidth = 2, xlabel = "map"]'
        in lines
    )
    assert "  2 -> 3" in lines


def test_several_inputs_run_in_float64() -> None:
    builder = _core.GraphBuilder()
    for name in ("a", "b"):
        builder.add(name, "Input", channels=2)
    builder.output(builder.add("product", "Multiply", ["a", "b"]))
    graph = builder.build()
    assert graph.shapes({"a": (1, 2, 3, 4), "b": (1, 2, 1, 1)})["product"] == (1, 2, 3, 4)
    with pytest.raises(ValueError, match=r"there are 2 inputs \(a, b\)"):
        graph.shapes((1, 2, 3, 4))
    rng = np.random.default_rng(0)
    x, gate = rng.random((1, 2, 3, 4)), rng.random((1, 2, 1, 1))
    network = _core.Network(graph, {})
    (y,), _ = _core.reference_forward(network, {"a": x, "b": gate}, ["product"])
    np.testing.assert_array_equal(y, x * gate)
    ((rms, largest),), _ = _core.rounding_deviation(network, {"a": x, "b": gate}, ["product"])
    # One rounding of each product: every error is u |y|.
    assert rms == pytest.approx(2**-24 * np.sqrt(np.mean(y**2)), rel=1e-6)
    assert largest >= rms
    with pytest.raises(ValueError, match="input b has no shape"):
        _core.reference_forward(network, {"a": x}, ["product"])


@pytest.mark.parametrize("family", ["mobileone", "mobilevit", "plain_cnn"])
def test_configurations_are_spelled_once(family: str) -> None:
    fields = getattr(_core, f"{family}_config")()
    make = getattr(_core, f"{family}_graph")
    with pytest.raises(ValueError, match=rf"\[{family}\] there is no wings; expected one of .*"):
        make(**fields, wings=2)
    with pytest.raises(ValueError, match=rf"\[{family}\] num_classes is \"two\"; expected an int"):
        make(**{**fields, "num_classes": "two"})
    # A published network may have no classifier; the studies' have one.
    least = 1 if family == "plain_cnn" else 0
    refused = rf"\[{family}\] num_classes is {least - 1}; expected at least {least}"
    with pytest.raises(ValueError, match=refused):
        make(**{**fields, "num_classes": least - 1})
    if family == "plain_cnn":
        assert make(**fields) == make()
        return
    for variant in getattr(_core, f"{family}_variants")().values():
        assert set(variant) < set(fields)
        assert make(**{**fields, **variant}) == make(**variant)
