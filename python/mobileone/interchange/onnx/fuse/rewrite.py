"""Regions replaced in a document; the rest of it stays as it is."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from mobileone.checkpoint.containers.onnx_document import DTYPES, STANDARD, Document
from mobileone.interchange.onnx.fuse.constants import Constants
from mobileone.interchange.onnx.fuse.emit import Replacement, replacement
from mobileone.interchange.onnx.fuse.forms import Forms, forms_of
from mobileone.interchange.onnx.fuse.graph import MainGraph
from mobileone.interchange.onnx.fuse.ops.node import Context, Node
from mobileone.interchange.onnx.fuse.proof import Proof, prove
from mobileone.interchange.onnx.fuse.regions import Left, Region, choose
from mobileone.interchange.onnx.fuse.result import FusedRegion
from mobileone.interchange.onnx.fuse.values import Values

__all__ = ["Walk", "opset_of"]

_FLOATS = (1, 10, 11)  # of TensorProto.data_type: float32, float16, float64


def opset_of(document: Document) -> int:
    """The version of the standard operator set; 0 if the file uses none."""
    versions = [o.version for o in document.model.opset_import if o.domain in STANDARD]
    return max(versions, default=0)


class Walk:
    """One walk over a document: finds regions, proves and replaces them.

    Attributes:
        left: what was not replaced.
        count: of the regions that were.
    """

    def __init__(self, document: Document) -> None:
        self._document = document
        opset = opset_of(document)
        self._constants = Constants(document, opset)
        self._graph = MainGraph(document)
        values = Values(document, self._constants)
        self._context = Context(opset, self._constants, values)
        self._forms: Forms = forms_of(self._graph, self._context)
        self._chosen, self.left = choose(self._graph, self._forms, self._context)
        model = document.model
        names = {t.name for t in model.graph.initializer} | {n.name for n in self._graph.nodes}
        names |= set(self._graph.makers) | set(self._graph.readers)
        self._names = names | {value.name for value in model.graph.input}
        self.count = 0
        self._digests: dict[bytes, str] = {}

    def run(self, rng: np.random.Generator) -> Iterator[tuple[FusedRegion, Proof]]:
        """Replace every region; one proof each."""
        replaced: list[tuple[Region, Replacement]] = []
        for region in self._chosen:
            new = self._replacement(region)
            if isinstance(new, str):
                self.left.append(Left(region.output, new))
                continue
            proof = self._prove(region, new, rng)
            replaced.append((region, new))
            yield self._record(region, new), proof
            self._add(new)
        self.count = len(replaced)
        if replaced:
            self._apply(replaced)

    def _add(self, new: Replacement) -> None:
        """Append the initializers; what a module that is used twice becomes is there once."""
        shared: dict[str, str] = {}
        for name, tensor in new.tensors.items():
            content = str(tensor.dtype).encode() + repr(tensor.shape).encode() + tensor.tobytes()
            known = self._digests.setdefault(hashlib.sha256(content).digest(), name)
            if known == name:
                self._document.add(name, tensor)
            else:
                shared[name] = known
        new.tensors.clear()
        for index, node in enumerate(new.nodes):
            inputs = tuple(shared.get(name, name) for name in node.inputs)
            new.nodes[index] = dataclasses.replace(node, inputs=inputs)

    def _steps(self, region: Region) -> list[Node]:
        return [self._graph.nodes[self._graph.makers[value]] for value in region.steps]

    def _replacement(self, region: Region) -> Replacement | str:
        kind = self._context.values.element_type(region.output)
        if kind is None:
            kind = self._context.values.element_type(region.source)
        if kind not in _FLOATS:
            return f"its element type is {kind}; read are float32, float16 and float64"
        kernel = self._forms.kernel(region.source, region.output)
        label = self._graph.nodes[self._graph.makers[region.output]].name or region.output
        new = replacement(
            kernel,
            region.source,
            region.output,
            label,
            DTYPES[kind],
            self._fresh,
            region.flat,
            [self._graph.nodes[self._graph.makers[value]] for value in region.reshapes],
        )
        if new is None and not np.isfinite(kernel.weight.sum() + kernel.bias.sum()):
            return "a merged weight is not finite"
        return new or "a merged weight is too large for the file's type"

    def _fresh(self, wanted: str) -> str:
        name, count = wanted, 1
        while name in self._names:
            count += 1
            name = f"{wanted}_{count}"
        self._names.add(name)
        return name

    def _prove(self, region: Region, new: Replacement, rng: np.random.Generator) -> Proof:
        shape = self._context.values.shape(region.source) or ()
        return prove(
            region.geometry,
            region.source,
            self._steps(region),
            new,
            self._constant,
            self._context.opset,
            shape[2:],
            rng,
        )

    def _constant(self, name: str) -> Any:
        value = self._constants.get(name)
        assert value is not None  # `recognise` has read it
        return value

    def _record(self, region: Region, new: Replacement) -> FusedRegion:
        steps = self._steps(region)
        names = {n for node in steps for n in node.inputs if n in self._constants}
        read = [value for value in map(self._constants.get, names) if value is not None]
        weights = [value for value in read if np.issubdtype(value.dtype, np.floating)]
        return FusedRegion(
            region.source,
            region.output,
            tuple(node.kind for node in steps),
            tuple(node.kind for node in new.nodes),
            (sum(w.size for w in weights), sum(t.size for t in new.tensors.values())),
            (region.before.macs, region.after.macs),
            (sum(w.nbytes for w in weights), sum(t.nbytes for t in new.tensors.values())),
        )

    def _apply(self, replaced: list[tuple[Region, Replacement]]) -> None:
        """Put new nodes into the graph, and drop what nobody reads any more."""
        graph = self._document.model.graph
        protos = list(graph.node)
        new_at: dict[int, list[Any]] = {}
        removed: set[int] = set()
        for region, new in replaced:
            made = [_proto(node) for node in new.nodes]
            makers = [self._graph.makers[value] for value in region.steps]
            # Shapes that are asked for before the region's end are asked of the new result.
            new_at.setdefault(min(makers), []).extend(made[: new.count])
            new_at.setdefault(makers[-1], []).extend(made[new.count :])
            removed |= region.removed
            self._redirect(region, new.result, protos)
        unread = self._unread(new_at, removed)
        kept: list[Any] = []
        for index, proto in enumerate(protos):
            kept += new_at.get(index, [])
            if index not in unread:
                kept.append(proto)
        del graph.node[:]
        graph.node.extend(kept)
        self._drop_values(unread, kept)

    def _redirect(self, region: Region, result: str, protos: list[Any]) -> None:
        """Who asks for the shape of a value that goes asks for the result's, which is the same."""
        for value in region.alike:
            if self._graph.makers[value] in region.removed:
                for index in self._graph.readers.get(value, ()):
                    if self._graph.nodes[index].kind == "Shape":
                        protos[index].input[0] = result

    def _unread(self, new_at: dict[int, list[Any]], removed: set[int]) -> set[int]:
        """Nodes to remove: those of regions, and those that only they needed."""
        readers = {name: set(indices) - removed for name, indices in self._graph.readers.items()}
        for protos in new_at.values():
            for name in (name for proto in protos for name in proto.input):
                readers.setdefault(name, set()).add(-1)
        gone = set(removed)
        for index in reversed(range(len(self._graph.nodes))):
            node = self._graph.nodes[index]
            pure = node.kind and (
                node.output in self._constants
                or node.output in self._forms.operators
                or node.kind == "Shape"
            )
            was_read = node.kind and node.output in self._graph.readers
            if index in gone or not pure or not was_read or node.output in self._graph.kept:
                continue
            if not readers.get(node.output):
                gone.add(index)
                for name in node.inputs:
                    readers.get(name, set()).discard(index)
        return gone

    def _drop_values(self, unread: set[int], kept: list[Any]) -> None:
        """Initializers and descriptions of values that were there for removed nodes only."""
        graph, model = self._document.model.graph, self._document.model
        read = {name for proto in kept for name in proto.input} | self._graph.kept
        gone = {
            name
            for index in unread
            for name in self._graph.nodes[index].inputs
            if name in self._constants and name not in read and self._only_in(name, unread)
        }
        self._document.remove(gone)
        made = {name for proto in kept for name in proto.output}
        lost = {n for i in unread for n in self._graph.nodes[i].outputs if n not in made}
        for values, names in ((graph.value_info, lost | gone), (graph.input, gone)):
            for index in reversed(range(len(values))):
                if values[index].name in names:
                    del values[index]
        if model.ir_version < 4:
            self._declare_inputs()

    def _only_in(self, name: str, unread: set[int]) -> bool:
        return set(self._graph.readers.get(name, ())) <= unread

    def _declare_inputs(self) -> None:
        """Before IR version 4 every initializer is an input, too."""
        from onnx import helper

        graph = self._document.model.graph
        declared = {value.name for value in graph.input}
        for tensor in graph.initializer:
            if tensor.name in self._document.new and tensor.name not in declared:
                value = helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
                graph.input.append(value)


def _proto(node: Node) -> Any:
    from onnx import helper

    return helper.make_node(
        node.kind, list(node.inputs), list(node.outputs), node.name, **node.attributes
    )
