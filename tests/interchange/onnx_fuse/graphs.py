"""Small ONNX graphs, written node by node, and what fusing them makes."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from mobileone.interchange.onnx.fuse.result import OnnxFusion
from mobileone.interchange.onnx.fuse.verb import fuse_onnx
from onnx import TensorProto, helper, numpy_helper

FLOAT = TensorProto.FLOAT


class Graph:
    """Collects nodes and seeded weights; "x" is the input, "y" the output."""

    def __init__(self, channels: int = 6, rank: int = 4, seed: int = 0, dtype: Any = np.float32):
        self.rng = np.random.default_rng(seed)
        self.dtype = dtype
        self.nodes: list[onnx.NodeProto] = []
        self.weights: dict[str, np.ndarray] = {}
        sizes = ["N", channels, "H", "W", "D"][:rank]
        self.kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
        self.inputs = [helper.make_tensor_value_info("x", self.kind, sizes)]
        self.outputs = [helper.make_tensor_value_info("y", self.kind, None)]
        self.functions: list[onnx.FunctionProto] = []

    def weight(self, *shape: int, low: float = -1.0, high: float = 1.0) -> str:
        name = f"w{len(self.weights)}"
        self.weights[name] = self.rng.uniform(low, high, shape).astype(self.dtype)
        return name

    def constant(self, values: Any) -> str:
        name = f"w{len(self.weights)}"
        self.weights[name] = np.asarray(values)
        return name

    def add(self, kind: str, *inputs: str, out: str = "", **attributes: Any) -> str:
        out = out or f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [out], f"node_{out}", **attributes))
        return out

    def conv(
        self,
        x: str,
        shape: tuple[int, ...],
        *,
        bias: bool = False,
        out: str = "",
        **attributes: Any,
    ) -> str:
        names = [self.weight(*shape), *([self.weight(shape[0])] if bias else [])]
        return self.add("Conv", x, *names, out=out, **attributes)

    def norm(self, x: str, channels: int, *, out: str = "", **attributes: Any) -> str:
        given = [self.weight(channels) for _ in range(3)]
        variance = self.weight(channels, low=0.5, high=2.0)
        return self.add("BatchNormalization", x, *given, variance, out=out, **attributes)

    def model(self, opset: int = 17, ir_version: int = 8, **fields: Any) -> onnx.ModelProto:
        tensors = [numpy_helper.from_array(value, name) for name, value in self.weights.items()]
        graph = helper.make_graph(self.nodes, "graph", self.inputs, self.outputs, tensors)
        imports = [helper.make_opsetid("", opset), helper.make_opsetid("test.custom", 1)]
        return helper.make_model(
            graph,
            opset_imports=imports,
            ir_version=ir_version,
            functions=self.functions,
            **fields,
        )


def fuse(
    model: onnx.ModelProto, folder: Path, sizes: tuple[tuple[int, ...], ...] = (), **options: Any
) -> tuple[OnnxFusion, onnx.ModelProto]:
    """The report and the fused model, which ONNX Runtime ran with the same results."""
    source, target = folder / "in.onnx", folder / "out.onnx"
    onnx.save(model, source)
    fusion = fuse_onnx(source, target, **options)
    assert fusion, repr(fusion)
    for size in sizes:
        check_equal(source, target, size)
    return fusion, onnx.load(target)


def check_equal(source: Path, target: Path, size: tuple[int, ...]) -> None:
    """Both files' first output at one more size, within a hundred roundings of its scale."""
    x = np.random.default_rng(5).standard_normal(size).astype(np.float32)
    before, after = (session(path).run(None, {"x": x})[0] for path in (source, target))
    assert before.shape == after.shape
    assert np.abs(before - after).max() <= 100 * 2.0**-24 * np.abs(before).max()


def session(path: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def kinds(model: onnx.ModelProto) -> dict[str, int]:
    return dict(Counter(node.op_type for node in model.graph.node))


def parameters(model: onnx.ModelProto) -> int:
    return sum(int(np.prod(tensor.dims)) for tensor in model.graph.initializer)
