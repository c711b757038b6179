"""Small ONNX graphs, loaded, against the onnx package's reference in float64."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mobileone
import numpy as np
import onnx
from interchange.onnx_fuse.graphs import Graph
from mobileone.verification.rounding import rounding_bound
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

SHAPE = (1, 6, 9, 10)


def graph(shape: tuple[int, ...] = SHAPE, seed: int = 0) -> Graph:
    """With "x" of a fixed shape; `finish` makes "y"."""
    made = Graph(shape[1], seed=seed)
    made.inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, list(shape))]
    return made


def finish(made: Graph, result: str, opset: int = 17, **fields: Any) -> onnx.ModelProto:
    """The model whose output is that value, flattened: every element stays at its place."""
    made.add("Flatten", result, out="y", axis=1)
    return made.model(opset, **fields)


def exact(model: onnx.ModelProto, x: np.ndarray) -> np.ndarray:
    """The output in float64, image by image, as the ONNX standard defines the operators."""
    double = onnx.ModelProto()
    double.CopyFrom(model)
    for tensor in double.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype in (np.float32, np.float16):
            tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float64), tensor.name))
    for value in (*double.graph.input, *double.graph.output):
        value.type.tensor_type.elem_type = TensorProto.DOUBLE
    for node in double.graph.node:
        for attribute in node.attribute:
            if node.op_type == "Cast" and attribute.name == "to":
                attribute.i = TensorProto.DOUBLE
    evaluator = ReferenceEvaluator(double)
    rows = [evaluator.run(None, {"x": row[None].astype(np.float64)})[0] for row in x]
    return np.concatenate(rows)


def check(model: onnx.ModelProto, folder: Path, images: int = 3) -> mobileone.Model:
    """Loaded, it computes what the file says, on each of several images, within rounding; so does
    its inference form. Returns it as loaded.
    """
    path = folder / "model.onnx"
    onnx.save(model, path)
    loaded = mobileone.load(path)
    dims = model.graph.input[0].type.tensor_type.shape.dim
    shape = (images, *(dim.dim_value for dim in dims[1:]))
    x = np.random.default_rng(7).standard_normal(shape).astype(np.float32)
    truth = exact(model, x)
    for form in (loaded, mobileone.reparameterize(loaded)):
        found = form(x)
        assert found.shape == truth.shape
        # The file's weights, read as they are, err by less than the engine's.
        assert np.abs(found - truth).max() <= rounding_bound(form, x).logits, form
    return loaded


def kinds(model: mobileone.Model) -> list[str]:
    return [node["kind"] for node in model.graph.nodes]
