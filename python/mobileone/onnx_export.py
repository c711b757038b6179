"""ONNX files: the graph of a Model in either form, operator by operator.

Needs the extra `onnx`. Runs in any ONNX runtime; weights keep their canonical names.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from mobileone._files import whole_file

if TYPE_CHECKING:
    from mobileone.model import Model

__all__ = ["MAX_OPSET", "MIN_OPSET", "export_onnx", "onnx_model"]

# From 13 on, every operator used here has the signature that is written below; 25 is the newest
# that this was checked with.
MIN_OPSET, MAX_OPSET = 13, 25
INPUT, OUTPUT = "images", "logits"
# protobuf cannot hold more.
_MAX_BYTES = 2**31 - 1

Node = Mapping[str, Any]
Weights = Mapping[str, npt.NDArray[Any]]
# The ONNX operators of a node: (operator, input names, attributes), the last one gives its result;
# an input that is None stands for the result of the operator before.
Operators = list[tuple[str, list["str | None"], dict[str, Any]]]


def export_onnx(
    model: Model, path: str | os.PathLike[str], *, opset: int = 17, dynamic_batch: bool = True
) -> None:
    """Write `model` as an .onnx file, in the form that it has and in eval mode.

    Args:
        model: either form. A train-time model keeps its branches and batch norms.
        path: where to; an existing file is replaced when the new one is complete.
        opset: version of ONNX's operator set, 13 to 25.
        dynamic_batch: whether the file leaves the batch size open; else it is 1.

    Raises:
        ValueError: an opset out of range, or a network of 2 GiB and more.
        NotImplementedError: an operator that has no ONNX counterpart here.
        ImportError: onnx is not installed.
    """
    proto = onnx_model(model, opset=opset, dynamic_batch=dynamic_batch)
    with whole_file(path) as file:
        file.write(proto.SerializeToString())


def onnx_model(model: Model, *, opset: int = 17, dynamic_batch: bool = True) -> Any:
    """The onnx.ModelProto that `export_onnx` writes: `images` [N, C, H, W] to `logits` [N, K]."""
    if not MIN_OPSET <= opset <= MAX_OPSET:
        raise ValueError(f"opset is {opset}; expected {MIN_OPSET} to {MAX_OPSET}")
    try:
        from onnx import TensorProto, defs, helper, numpy_helper
    except ImportError as error:
        raise ImportError("export_onnx needs onnx: pip install 'mobileone[onnx]'") from error
    if opset > defs.onnx_opset_version():
        known = defs.onnx_opset_version()
        raise ValueError(f"opset is {opset}; the installed onnx knows {MIN_OPSET} to {known}")
    weights = model.network.weights()
    nodes, used = _nodes(model, weights, helper.make_node)
    size = sum(weights[name].nbytes for name in used)
    if size > _MAX_BYTES:
        raise ValueError(f"{model.name} has {size} bytes of weights; .onnx files hold 2 GiB")
    batch: str | int = "N" if dynamic_batch else 1
    channels = int(model.config["in_channels"])
    graph = helper.make_graph(
        nodes,
        model.arch,
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, [batch, channels, "H", "W"])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, [batch, model.num_classes])],
        [numpy_helper.from_array(weights[name], name) for name in used],
    )
    operators = helper.make_opsetid("", opset)
    proto = helper.make_model(
        graph,
        producer_name="mobileone",
        opset_imports=[operators],
        # The oldest file version that may hold the operator set: readable by most runtimes.
        ir_version=helper.find_min_ir_version_for([operators], ignore_unknown=True),
    )
    helper.set_model_props(proto, model.metadata())
    return proto


def _nodes(
    model: Model, weights: Weights, make_node: Callable[..., Any]
) -> tuple[list[Any], list[str]]:
    """ONNX nodes in topological order, and the weights they read."""
    results = {}
    nodes: list[Any] = []
    used: list[str] = []
    for node in model.graph.nodes:
        name = node["name"]
        if node["kind"] == "Input":
            results[name] = INPUT
            continue
        operators = _operators(node, [results[i] for i in node["inputs"]], weights)
        results[name] = OUTPUT if name == model.graph.output_name else f"{name}.out"
        previous = ""
        for i, (kind, inputs, attributes) in enumerate(operators):
            last = i == len(operators) - 1
            result = results[name] if last else f"{name}.{kind}"
            names = [previous if given is None else given for given in inputs]
            label = name if last else f"{name}.{kind}"
            nodes.append(make_node(kind, names, [result], name=label, **attributes))
            used += [given for given in names if given in weights]
            previous = result
    return nodes, list(dict.fromkeys(used))


def _operators(node: Node, inputs: list[str], weights: Weights) -> Operators:
    translate = _TRANSLATIONS.get(node["kind"])
    if translate is None:
        known = ", ".join(_TRANSLATIONS)
        raise NotImplementedError(
            f"{node['name']}: {node['kind']} cannot be exported to ONNX; expected one of {known}"
        )
    return translate(node, inputs, weights)


def _parameters(node: Node, names: tuple[str, ...], weights: Weights) -> list[str | None]:
    found = (f"{node['name']}.{name}" for name in names)
    return [name for name in found if name in weights]


def _conv2d(node: Node, inputs: list[str], weights: Weights) -> Operators:
    given = node["attributes"]
    attributes = {
        "kernel_shape": given["kernel_size"],
        "strides": given["stride"],
        "pads": [*given["padding"], *given["padding"]],
        "dilations": given["dilation"],
        "group": given["groups"],
    }
    return [("Conv", [*inputs, *_parameters(node, ("weight", "bias"), weights)], attributes)]


def _batch_norm(node: Node, inputs: list[str], weights: Weights) -> Operators:
    names = ("weight", "bias", "running_mean", "running_var")
    read = _parameters(node, names, weights)
    return [("BatchNormalization", [*inputs, *read], {"epsilon": node["attributes"]["eps"]})]


def _activation(node: Node, inputs: list[str], weights: Weights) -> Operators:
    kind = node["attributes"]["kind"]
    operators = {"relu": "Relu", "sigmoid": "Sigmoid"}
    if kind not in operators:
        raise NotImplementedError(f"{node['name']}: activation {kind} cannot be exported to ONNX")
    return [(operators[kind], [*inputs], {})]


def _linear(node: Node, inputs: list[str], weights: Weights) -> Operators:
    read = _parameters(node, ("weight", "bias"), weights)
    return [("Flatten", [*inputs], {"axis": 1}), ("Gemm", [None, *read], {"transB": 1})]


def _plain(operator: str) -> Callable[[Node, list[str], Weights], Operators]:
    return lambda node, inputs, weights: [(operator, [*inputs], {})]


_TRANSLATIONS: dict[str, Callable[[Node, list[str], Weights], Operators]] = {
    "Conv2d": _conv2d,
    "BatchNorm": _batch_norm,
    "Activation": _activation,
    "Add": _plain("Sum"),
    "Multiply": _plain("Mul"),
    "GlobalAvgPool": _plain("GlobalAveragePool"),
    "Linear": _linear,
}
