"""ONNX files: the graph of a network in either form, operator by operator.

Needs the extra `onnx`. Runs in any ONNX runtime; weights keep their canonical names.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from mobileone.families.heads.head import box_code
from mobileone.interchange.onnx.operators import TRANSLATIONS, Translation, single
from mobileone.interchange.onnx.writer import OnnxWriter
from mobileone.network.inputs import InputSize, input_shape
from mobileone.network.integers import as_stored
from mobileone.tasks.detection.rule import DetectionRule
from mobileone.util.files import whole_file

if TYPE_CHECKING:
    from mobileone.network.bundle import Bundle

__all__ = ["MAX_OPSET", "MIN_OPSET", "export_onnx", "onnx_model"]

# From 13 on, every operator used here has the signature that is written below, LayerNorm aside;
# 25 is the newest that this was checked with.
MIN_OPSET, MAX_OPSET = 13, 25
INPUT, OUTPUT = "images", "logits"
# protobuf cannot hold more.
_MAX_BYTES = 2**31 - 1

Weights = Mapping[str, npt.NDArray[Any]]


def export_onnx(
    bundle: Bundle,
    path: str | os.PathLike[str],
    *,
    opset: int = 17,
    dynamic_batch: bool = True,
    input_size: InputSize = None,
    suppression: Mapping[str, Any] | None = None,
) -> None:
    """Write a network as an .onnx file, in the form that it has and in eval mode.

    Args:
        bundle: either form. A train-time model keeps its branches and batch norms.
        path: where to; an existing file is replaced when the new one is complete.
        opset: version of ONNX's operator set, 13 to 25.
        dynamic_batch: whether the file leaves the batch size open; else it is 1.
        input_size: height and width; None leaves them open, for which a MobileViT computes shapes
            as it runs.
        suppression: of a detector: fields of a `DetectionRule`, how its maps become boxes, which
            are then the results, by ONNX's NonMaxSuppression; for one size, by default the
            network's own.

    Raises:
        ValueError: an opset or a size out of range, suppression for no detector, or a network of
            2 GiB and more.
        NotImplementedError: an operator that has no ONNX counterpart here.
        ImportError: onnx is not installed.
    """
    rule = None if suppression is None else DetectionRule(**suppression).check()
    bundle.warn_if_untrained("export_onnx", stacklevel=4)
    how: dict[str, Any] = {"dynamic_batch": dynamic_batch, "input_size": input_size}
    proto = onnx_model(bundle, opset=opset, suppression=rule, **how)
    with whole_file(path) as file:
        file.write(proto.SerializeToString())


def onnx_model(
    bundle: Bundle,
    *,
    opset: int = 17,
    dynamic_batch: bool = True,
    input_size: InputSize = None,
    suppression: DetectionRule | None = None,
) -> Any:
    """The onnx.ModelProto that `export_onnx` writes: `images` [N, C, H, W] to `logits` [N, K], or
    to what the graph calls its results where it is no classifier's.
    """
    if not MIN_OPSET <= opset <= MAX_OPSET:
        raise ValueError(f"opset is {opset}; expected {MIN_OPSET} to {MAX_OPSET}")
    try:
        from onnx import TensorProto, defs, helper, numpy_helper
    except ImportError as error:
        raise ImportError("export_onnx needs onnx: pip install 'mobileone[onnx]'") from error
    if opset > defs.onnx_opset_version():
        known = defs.onnx_opset_version()
        raise ValueError(f"opset is {opset}; the installed onnx knows {MIN_OPSET} to {known}")
    if suppression is not None:
        if bundle.task != "detection":
            raise ValueError(f"suppression is given; {bundle.name} is {bundle.purpose}")
        input_size = input_size or bundle.input_size
    weights = as_stored(bundle.network)
    shape = input_shape(bundle, input_size, 1)
    shapes = bundle.graph.shapes(shape)
    writer = OnnxWriter(helper.make_node, weights, opset, shapes, input_size is not None)
    _translate(bundle, writer)
    batch: str | int = "N" if dynamic_batch else 1
    if suppression is None:
        results = {
            key: (TensorProto.FLOAT, _dimensions(key, sides, batch))
            for key, sides in _outputs(bundle, shape, input_size is not None).items()
        }
    else:
        from mobileone.interchange.onnx.detection import BOXES, SCORES, SELECTED, add_suppression

        maps = bundle.output_shapes(shape)
        how = (suppression, box_code(bundle), (shape[2], shape[3]))
        anchors = add_suppression(writer, maps, bundle.num_classes, *how)
        results = {
            BOXES: (TensorProto.FLOAT, [batch, anchors, 4]),
            SCORES: (TensorProto.FLOAT, [batch, bundle.num_classes - 1, anchors]),
            SELECTED: (TensorProto.INT64, [f"{SELECTED}.N", 3]),
        }
    tensors = {name: weights[name] for name in writer.used} | writer.constants
    size = sum(tensor.nbytes for tensor in tensors.values())
    if size > _MAX_BYTES:
        raise ValueError(f"{bundle.name} has {size} bytes of weights; .onnx files hold 2 GiB")
    extents = ["H", "W"] if input_size is None else shape[2:]
    images = [batch, shape[1], *extents]
    graph = helper.make_graph(
        writer.nodes,
        bundle.arch,
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, images)],
        [helper.make_tensor_value_info(key, *kind) for key, kind in results.items()],
        [numpy_helper.from_array(tensor, name) for name, tensor in tensors.items()],
    )
    operators = helper.make_opsetid("", opset)
    proto = helper.make_model(
        graph,
        producer_name="mobileone",
        opset_imports=[operators],
        # The oldest file version that may hold the operator set: readable by most runtimes.
        ir_version=helper.find_min_ir_version_for([operators], ignore_unknown=True),
    )
    helper.set_model_props(proto, bundle.metadata())
    return proto


def _names(bundle: Bundle) -> dict[str, str]:
    """Node -> what its result is called in the file, of the network's results."""
    if bundle.task == "classification":
        return {bundle.graph.output_name: OUTPUT}
    return {node: key for key, node in bundle.graph.outputs.items()}


def _outputs(
    bundle: Bundle, shape: tuple[int, ...], fixed: bool
) -> dict[str, tuple[int | None, ...]]:
    """Results by their name in the file: extents after the batch, None where they are open."""
    names, shapes = list(_names(bundle).values()), bundle.output_shapes(shape).values()
    kept = 1 if bundle.task == "other" else 2  # of a known task, channels do not change with size
    return {
        name: extents[1:] if fixed else (*extents[1:kept], *(None for _ in extents[kept:]))
        for name, extents in zip(names, shapes, strict=True)
    }


def _dimensions(name: str, extents: tuple[int | None, ...], batch: str | int) -> list[str | int]:
    """Of a result, with names for those that are open."""
    letters = ("C", "H", "W", *map(str, range(4, len(extents) + 1)))
    named = [f"{name}.{o}" if e is None else e for e, o in zip(extents, letters, strict=False)]
    return [batch, *named]


def _translate(bundle: Bundle, writer: OnnxWriter) -> None:
    """Append the operators of every node that a result needs: levels alone do not count."""
    results: dict[str, str] = {}
    outputs = _names(bundle)
    translations = {n: single(operator) for n, operator in bundle.graph.onnx_operators.items()}
    needed = set(outputs)
    for node in reversed(bundle.graph.nodes):
        if node["name"] in needed:
            needed.update(node["inputs"])
    for node in bundle.graph.nodes:
        name = node["name"]
        if name not in needed:
            continue
        if node["kind"] == "Input":
            results[name] = INPUT
            continue
        translate: Translation | None = translations.get(name, TRANSLATIONS.get(node["kind"]))
        if translate is None:
            raise NotImplementedError(f"{name}: {node['kind']} cannot be exported to ONNX")
        inputs = [results[given] for given in node["inputs"]]
        writer.begin(name)
        result = translate(writer, node, inputs)
        if name in outputs and bundle.task == "classification" and not bundle.num_classes:
            result = writer.add("Flatten", result, axis=1)
        if result not in inputs:  # a node that does nothing passes its input on
            result = outputs.get(name, f"{name}.out")
            writer.finish(result)
        results[name] = result
