"""A file's main graph as nodes, and who reads what."""

from __future__ import annotations

from typing import Any

from mobileone.checkpoint.containers.onnx_document import STANDARD, Document
from mobileone.interchange.onnx.fuse.ops.node import Node
from mobileone.util.errors import CheckpointError, shown

__all__ = ["MainGraph"]


class MainGraph:
    """Nodes in the file's order, which is topological.

    Attributes:
        nodes: one per node of the file; operators of other domains have the kind "".
        makers: value -> index of the node that makes it.
        readers: value -> indices of the nodes that read it, also from graphs inside.
        kept: values that are read by the graph's surroundings: outputs, quantization annotations.
    """

    def __init__(self, document: Document) -> None:
        """Read a document.

        Raises:
            CheckpointError: the nodes are not in topological order, or two make one value.
        """
        model = document.model
        overridden = document.overridden()
        self.nodes: list[Node] = []
        self.makers: dict[str, int] = {}
        self.readers: dict[str, list[int]] = {}
        graph = model.graph
        known = {"", *(value.name for value in graph.input)}
        known |= {tensor.name for tensor in graph.initializer}
        known |= {tensor.values.name for tensor in graph.sparse_initializer}
        for index, proto in enumerate(graph.node):
            names = (proto.name, proto.op_type, proto.domain, *proto.input, *proto.output)
            if not all(isinstance(name, str) for name in names):
                problem = "has a name that is not UTF-8"  # protobuf hands bytes out, and takes none
                raise CheckpointError(f"{document.path}: node {index} {problem}")
            node = _node(proto, overridden)
            self.nodes.append(node)
            inside = {name for g in _graphs(proto) for name in _read_inside(g)}
            for name in node.inputs:
                if name not in known:
                    what = f"reads {shown(name)!r}, which nothing before it makes"
                    raise CheckpointError(f"{document.path}: {_label(node, index)} {what}")
            for name in {*node.inputs, *inside} - {""}:
                self.readers.setdefault(name, []).append(index)
            for name in node.outputs:
                if name and (name in self.makers or name in known):
                    what = f"makes {shown(name)!r}, which is there already"
                    raise CheckpointError(f"{document.path}: {_label(node, index)} {what}")
                known.add(name)
                self.makers[name] = index
        self.kept = {value.name for value in graph.output}
        for annotation in graph.quantization_annotation:
            self.kept.add(annotation.tensor_name)
            self.kept |= {entry.value for entry in annotation.quant_parameter_tensor_names}


def _label(node: Node, index: int) -> str:
    return f"node {index} ({shown(node.kind)} {shown(node.name)!r})"


def _node(proto: Any, overridden: set[str]) -> Node:
    from onnx import helper

    standard = proto.domain in STANDARD and proto.op_type not in overridden
    kind = proto.op_type if standard and proto.output and proto.output[0] else ""
    try:
        attributes = {
            a.name: helper.get_attribute_value(a)
            for a in proto.attribute
            if kind and not a.ref_attr_name and kind != "Constant"
        }
    except ValueError:
        kind, attributes = "", {}
    if any(attribute.ref_attr_name for attribute in proto.attribute):
        kind = ""
    return Node(proto.name, kind, tuple(proto.input), tuple(proto.output), attributes)


def _graphs(proto: Any) -> list[Any]:
    return [
        graph
        for attribute in proto.attribute
        for graph in (*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs)
    ]


def _read_inside(graph: Any) -> set[str]:
    """Every name that a graph inside, and those inside it, could take from outside."""
    names = {value.name for value in graph.output}
    for node in graph.node:
        names |= set(node.input)
        for inner in _graphs(node):
            names |= _read_inside(inner)
    return names
