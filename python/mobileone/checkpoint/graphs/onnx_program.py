"""An ONNX file as a program: its operators, its constants, and what is computed of them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mobileone.checkpoint.containers.onnx_document import STANDARD, Document, require_onnx
from mobileone.checkpoint.graphs.statement import Array, Program, Statement
from mobileone.util.errors import CheckpointError, shown

__all__ = ["read_onnx"]

MIN_OPSET, MAX_OPSET = 11, 28
# Of an image whose height or width the file leaves open; what else is tried there, and as the
# number of images: a slice up to a place far out is the whole axis of a smaller image.
_OPEN_SIZE, _OTHER_SIZES, _OTHER_BATCHES = 224, (352, 1 << 20), (2, 1 << 20)
_FLOATS = (1, 10)  # float, float16
_WIDE = (1, 11)  # float, double
_WEIGHTS = (*_WIDE, 10, 16)  # and float16, bfloat16
# Of what is computed of constants, all together: more than any network's tables take.
_MAX_FOLDED = 1 << 26
# Operators that are computed where all their inputs are constants.
_NAMES = """
    Abs Add And Cast CastLike Ceil Clip Concat Constant ConstantOfShape Conv Cos CumSum Div Equal
    Erf Exp Expand Flatten Floor Gather GatherElements Gemm Greater GreaterOrEqual Identity Less
    LessOrEqual Log
    MatMul Max Min Mod Mul Neg Not Or Pow Range Reciprocal ReduceMax ReduceMean ReduceMin ReduceProd
    ReduceSum Reshape Round ScatterElements ScatterND Shape Sigmoid Sign Sin Size Slice Softmax
    Split Sqrt Squeeze Sub Sum Tanh Tile Transpose Trilu Unsqueeze Where
"""
_FOLDED = frozenset(_NAMES.split())


def read_onnx(path: str | os.PathLike[str]) -> tuple[Program, dict[str, str]]:
    """The program of a file, and its metadata.

    Raises:
        OSError: it cannot be read.
        ImportError: onnx is not installed.
        CheckpointError: it is no ONNX model, or damaged.
        NotImplementedError: an operator set, or a kind of input, that is not read.
    """
    require_onnx()
    document = Document(path)
    model = document.model
    opset = _opset(document)
    overridden = document.overridden()
    statements = [
        _statement(document, index, node, overridden) for index, node in enumerate(model.graph.node)
    ]
    outputs = [_text(document, value.name, "an output") for value in model.graph.output]

    narrow = _narrow(model.graph.initializer)

    def program_at(inputs: dict[str, tuple[int, ...]], **others: Any) -> Program:
        reader = _Constants(document, opset)
        return Program(
            where=document.path,
            statements=statements,
            constant=reader.get,
            fold=reader.fold,
            inputs=inputs,
            outputs=outputs,
            opset=opset,
            language=f"opset {opset}",
            narrow=narrow,
            **others,
        )

    name, declared = _input(document)
    usual = _sized(declared, 1, _OPEN_SIZE)
    others = {
        f"images are {' x '.join(map(str, shape))}": program_at({name: shape})
        for shape in (
            *(_sized(declared, images, _OPEN_SIZE) for images in _OTHER_BATCHES),
            *(_sized(declared, 1, size) for size in _OTHER_SIZES),
        )
        if shape != usual
    }
    program = program_at({name: usual}, others=others)
    return program, {entry.key: entry.value for entry in model.metadata_props}


def _opset(document: Document) -> int:
    versions = {entry.domain: entry.version for entry in document.model.opset_import}
    opset = next((versions[domain] for domain in STANDARD if domain in versions), 0)
    if not MIN_OPSET <= opset <= MAX_OPSET:
        raise NotImplementedError(
            f"{document.path}: is of operator set {opset}; expected {MIN_OPSET} to {MAX_OPSET}"
        )
    return int(opset)


def _text(document: Document, name: Any, what: str) -> str:
    if not isinstance(name, str):
        raise CheckpointError(f"{document.path}: the name of {what} is not UTF-8")
    return name


def _statement(document: Document, index: int, proto: Any, overridden: set[str]) -> Statement:
    what = f"node {index}"
    names = [proto.name, proto.op_type, proto.domain, *proto.input, *proto.output]
    for name in names:
        _text(document, name, what)
    kind, domain = proto.op_type, proto.domain
    label = proto.name or (proto.output[0] if proto.output else "") or f"{kind}_{index}"
    if domain not in STANDARD or kind in overridden:
        raise NotImplementedError(
            f"{document.path}: node {shown(label)!r} ({shown(kind)} of domain "
            f"{shown(domain or 'a function of the file')!r}): only ONNX's own operators are "
            "supported"
        )
    return Statement(
        label, kind, tuple(proto.input), tuple(proto.output), _attributes(document, proto, label)
    )


def _attributes(document: Document, proto: Any, label: str) -> dict[str, Any]:
    from onnx import helper

    found: dict[str, Any] = {}
    for attribute in proto.attribute:
        if attribute.HasField("g") or attribute.graphs or attribute.ref_attr_name:
            raise NotImplementedError(
                f"{document.path}: node {shown(label)!r} ({shown(proto.op_type)}): control flow "
                "and functions are not supported"
            )
        try:
            value = helper.get_attribute_value(attribute)
        except (ValueError, TypeError) as error:
            raise CheckpointError(
                f"{document.path}: node {shown(label)!r}: attribute {shown(attribute.name)!r}: "
                f"{error}"
            ) from error
        if isinstance(value, bytes):
            value = value.decode("utf-8", "replace")
        if attribute.HasField("t"):
            value = document.array(attribute.t)
        found[attribute.name] = value
    return found


def _input(document: Document) -> tuple[str, tuple[int, ...]]:
    """The name of the images and their shape; axes that are open are 0."""
    graph = document.model.graph
    stored = {tensor.name for tensor in graph.initializer}
    given = [value for value in graph.input if value.name not in stored]
    names = ", ".join(shown(value.name) for value in given)
    if len(given) != 1:
        raise NotImplementedError(
            f"{document.path}: has {len(given)} inputs ({names}); expected one of images"
        )
    kind = given[0].type.tensor_type
    extents = [dim.dim_value for dim in kind.shape.dim]
    if kind.elem_type not in _FLOATS or len(extents) != 4 or extents[1] < 1:
        raise NotImplementedError(
            f"{document.path}: input {names} is of type {kind.elem_type} and shape {extents}; "
            "expected float32 or float16 images (N, C, H, W), the number of channels given"
        )
    shape = tuple(max(extent, 0) for extent in extents)
    if max(shape) >= 1 << 31:
        raise CheckpointError(f"{document.path}: input {names} has shape {shape}")
    return _text(document, given[0].name, "the input"), shape


def _narrow(tensors: Any) -> int:
    """The type of 16 bits that all weights have; 0 where they have others."""
    kinds = {t.data_type for t in tensors if t.data_type in _WEIGHTS}
    return kinds.pop() if len(kinds) == 1 and not kinds & {*_WIDE} else 0


def _sized(declared: tuple[int, ...], images: int, size: int) -> tuple[int, ...]:
    """A shape whose open axes have these extents."""
    n, c, h, w = declared
    return n or images, c, h or size, w or size


class _Constants:
    """Initializers, and what is computed of them."""

    def __init__(self, document: Document, opset: int) -> None:
        self._document = document
        self._opset = opset
        self._tensors = {tensor.name: tensor for tensor in document.model.graph.initializer}
        self._left = _MAX_FOLDED

    def get(self, name: str) -> Array | None:
        """An initializer's values."""
        tensor = self._tensors.get(name)
        if tensor is None:
            return None
        values = self._document.array(tensor)
        if values is None:
            raise NotImplementedError(
                f"{self._document.path}: tensor {shown(name)!r} is of type {tensor.data_type}; "
                "expected float32, float16, float64 or integers"
            )
        return values

    def fold(self, statement: Statement, given: list[Array | None]) -> Sequence[Array] | None:
        """The results of an operator of constants, by the onnx package's reference."""
        if statement.kind not in _FOLDED:
            return None
        try:
            if statement.kind == "Constant":
                return [_constant(statement.attributes)]
            self._charge(statement, _elements(statement, given))
            with np.errstate(all="ignore"):
                return _run(statement, given, self._opset)
        except CheckpointError:
            raise
        except Exception as error:  # whatever a reference operator does with what does not fit
            raise CheckpointError(
                f"{self._document.path}: node {shown(statement.name)!r} ({statement.kind}): "
                f"{type(error).__name__}: {shown(str(error))}"
            ) from error

    def _charge(self, statement: Statement, elements: int) -> None:
        self._left -= elements
        if self._left < 0:
            raise CheckpointError(
                f"{self._document.path}: node {shown(statement.name)!r} ({statement.kind}) would "
                f"make {elements} numbers of constants; all together may be {_MAX_FOLDED}"
            )


def _constant(attributes: Mapping[str, Any]) -> Array:
    if attributes.get("value") is not None:
        return np.asarray(attributes["value"])
    dtypes = {"value_float": np.float32, "value_floats": np.float32}
    for name, value in attributes.items():
        if name in dtypes or name in ("value_int", "value_ints"):
            return np.asarray(value, dtypes.get(name, np.int64))
    raise ValueError(f"a constant of {', '.join(attributes) or 'nothing'}")


def _elements(statement: Statement, given: list[Array | None]) -> int:
    """No fewer than an operator's results have."""
    arrays = [array for array in given if array is not None]
    kind, total = statement.kind, sum(array.size for array in arrays)
    if kind == "ConstantOfShape":
        return _volume(arrays[0])
    if kind == "Expand":
        return max(arrays[0].size, _volume(arrays[1]))
    if kind == "Tile":
        return max(1, arrays[0].size) * _volume(arrays[1])
    if kind == "Range":
        start, limit, delta = (float(array.reshape(-1)[0]) for array in arrays)
        return int(min(max(0.0, (limit - start) / (delta or 1e-30)), 2.0**62)) + 1
    if kind == "Conv":
        data, weight = arrays[:2]
        padding = sum(abs(int(n)) for n in statement.attributes.get("pads", ()))
        pixels = _volume(np.array(data.shape[2:]) + padding)
        return int(data.shape[0] * weight.shape[0] * pixels)
    if kind in ("Gemm", "MatMul"):
        return max(1, arrays[0].size) * max(1, arrays[1].size)
    if kind == "Gather":
        data, axis = arrays[0], int(statement.attributes.get("axis", 0))
        return int(max(1, data.size // max(1, data.shape[axis])) * max(1, arrays[1].size))
    if len(arrays) < 2 or kind in ("Concat", "Reshape", "Slice", "Split", "Squeeze", "Unsqueeze"):
        return total
    try:
        shape = np.broadcast_shapes(*(array.shape for array in arrays))
    except ValueError:
        return total
    return max(total, _volume(np.array(shape, np.int64)))


def _volume(shape: Array) -> int:
    volume = 1
    for extent in shape.reshape(-1):
        volume *= max(1, int(extent))
    return volume


def _run(statement: Statement, given: list[Array | None], opset: int) -> Sequence[Array]:
    from onnx import TensorProto, helper, numpy_helper
    from onnx.reference import ReferenceEvaluator

    names = [f"i{i}" if array is not None else "" for i, array in enumerate(given)]
    outputs = [f"o{i}" if name else "" for i, name in enumerate(statement.outputs)]
    attributes = dict(statement.attributes)
    if isinstance(attributes.get("value"), np.ndarray):
        attributes["value"] = numpy_helper.from_array(attributes["value"])
    node = helper.make_node(statement.kind, names, outputs, **attributes)
    kinds = [
        helper.make_tensor_value_info(
            name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape
        )
        for name, array in zip(names, given, strict=True)
        if array is not None
    ]
    wanted = [name for name in outputs if name]
    results = [helper.make_tensor_value_info(name, TensorProto.UNDEFINED, None) for name in wanted]
    graph = helper.make_graph([node], "constant", kinds, results)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    feeds = {n: a for n, a in zip(names, given, strict=True) if a is not None}
    found = dict(zip(wanted, ReferenceEvaluator(model).run(None, feeds), strict=True))
    return [np.asarray(found[name]) if name else np.zeros(0) for name in outputs]
