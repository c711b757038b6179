"""The whole file before and after, in ONNX Runtime where it is installed.

Both differ by rounding. How much of that reaches an output is measured: each file is run a few more
times with its weights changed by what the roundings of a sum of n products amount to, u^2 (n + 1) /
3 of its result and u^2 (n + 7) / 6 of the squares of its products (docs/verification.md, equation
3), as seeded factors of rows and of elements. The deviations are samples of the rounding error
there, and the variances of both files add.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from mobileone.checkpoint.containers.onnx_document import Document
from mobileone.network.tails import tail_bound
from mobileone.verification.comparison import compare
from mobileone.verification.equivalence import StageError

__all__ = ["InputShapes", "WholeFile", "compare_files"]

Array = npt.NDArray[Any]
InputShapes = Mapping[str, Sequence[int]]
_SAMPLES = 2
# Of axes that a file leaves open: the first is a batch; images are as large.
_BATCH, _IMAGE, _OTHER = 1, 64, 16
_PART_BYTES = 1 << 26
# Neighbouring values whose errors are one sample of a map's deviation.
_RUN = 8
# Whose constants are factors and summands, not powers, scales of a resize or thresholds.
_WEIGHTED = {
    "Add", "BatchNormalization", "Conv", "ConvTranspose", "Gemm", "GroupNormalization",
    "InstanceNormalization", "LayerNormalization", "MatMul", "Mul", "PRelu",
}  # fmt: skip
_TYPES = {
    "tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(double)": np.float64,
    "tensor(int64)": np.int64, "tensor(int32)": np.int32, "tensor(uint8)": np.uint8,
    "tensor(bool)": np.bool_,
}  # fmt: skip


class WholeFile(NamedTuple):
    """One row per output of floating point; and what ran the files, or why nothing did."""

    rows: list[StageError]
    runtime: str
    top1_agreement: float
    images: str


def compare_files(before: str, after: str, shapes: InputShapes) -> WholeFile:
    """Run two files on the same seeded inputs.

    Args:
        before, after: paths.
        shapes: of inputs by name; open axes of others get a batch of 1 and 64 x 64 pixels.
    """
    try:
        import onnxruntime
    except ImportError:
        return WholeFile([], "not run: onnxruntime is not installed", math.nan, "0 inputs")
    rng = np.random.default_rng(1)
    try:
        session = _session(before, {})
        inputs = {i.name: _draw(i, shapes, rng) for i in session.get_inputs()}
        names = [output.name for output in session.get_outputs()]
        found = session.run(None, inputs)
        del session
    except ValueError:
        raise
    except Exception as error:  # ONNX Runtime's own classes; the file is not ours to judge
        reason = f"not run: ONNX Runtime: {_first_line(error)}"
        return WholeFile([], reason, math.nan, "0 inputs")
    try:
        changed = _session(after, {}).run(None, inputs)
    except Exception as error:
        nan = math.nan
        row = StageError("the fused file", nan, nan, nan, 0.0, math.inf, ok=False)
        reason = f"ONNX Runtime refuses it: {_first_line(error)}"
        return WholeFile([row], reason, nan, _inputs_text(inputs))
    judged = [i for i, y in enumerate(found) if isinstance(y, np.ndarray) and y.dtype.kind == "f"]
    deviations = [
        _deviations(path, exact, inputs, judged, rng)
        for path, exact in ((before, found), (after, changed))
    ]
    rows = []
    for place, index in enumerate(judged):
        deviation = math.hypot(*(d[place] for d in deviations))
        a, b = _comparable(found[index], changed[index])
        rows.append(compare(names[index], a, b, tail_bound(deviation, a.size, _SAMPLES)))
    version = onnxruntime.__version__
    text = f"ONNX Runtime {version}, {_inputs_text(inputs)}"
    return WholeFile(rows, text, _top1(found, changed, judged), _inputs_text(inputs))


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)[:200]


def _inputs_text(inputs: Mapping[str, Array]) -> str:
    shapes = ", ".join(f"{name} {list(value.shape)}" for name, value in inputs.items())
    return f"seeded noise for {shapes}"


def _session(path: str, weights: Mapping[str, Any]) -> Any:
    """Runs a file as it is written: what is folded early takes memory, and no other weights."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    for name, value in weights.items():
        options.add_initializer(name, value)
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def _draw(given: Any, shapes: InputShapes, rng: np.random.Generator) -> Array:
    """A seeded input: noise, or zeros and ones where it is integers."""
    dtype = _TYPES.get(given.type)
    if dtype is None:
        raise TypeError(f"input {given.name} is a {given.type}")
    extents = given.shape
    if given.name in shapes:
        extents = list(shapes[given.name])
        # ONNX Runtime gives no extents of a scalar, nor where the file does not say how many.
        if given.shape and len(extents) != len(given.shape):
            expected = f"{len(given.shape)} extents, as in the file: {given.shape}"
            raise ValueError(f"input_shapes[{given.name!r}] is {extents}; expected {expected}")
    shape = [
        extent
        if isinstance(extent, int)
        else _BATCH
        if axis == 0
        else _IMAGE
        if len(extents) == 4
        else _OTHER
        for axis, extent in enumerate(extents)
    ]
    if np.issubdtype(dtype, np.floating):
        return rng.standard_normal(shape).astype(dtype)
    return rng.integers(0, 2, shape).astype(dtype)


def _deviations(
    path: str,
    exact: Sequence[Array],
    inputs: Mapping[str, Array],
    judged: list[int],
    rng: np.random.Generator,
) -> list[float]:
    """The largest local deviation of each judged output, at least that of its last rounding."""
    squares = [np.zeros(exact[index].shape) for index in judged]
    for part in [part for part in _parts(path) for _ in range(_SAMPLES)]:
        weights = dict(_noisy(path, part, rng))  # lives as long as the session that borrows it
        noisy = _session(path, weights).run(None, dict(inputs))
        for square, index in zip(squares, judged, strict=True):
            a, b = _comparable(exact[index], noisy[index])
            square += np.square(b.astype(np.float64) - a) / _SAMPLES
    largest = [math.sqrt(float(_pooled(square).max(initial=0.0))) for square in squares]
    # Few samples of few elements may all round to the same results.
    return [max(d, _last_rounding(exact[i])) for d, i in zip(largest, judged, strict=True)]


def _last_rounding(result: Array) -> float:
    """The deviation of an error that is evenly distributed over u times the largest element."""
    finite = np.abs(result[np.isfinite(result)], dtype=np.float64)
    return float(np.finfo(result.dtype).eps) / 2 * float(finite.max(initial=0.0)) / math.sqrt(3)


def _pooled(squares: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Means over runs of neighbours in a map; of other outputs, the values themselves."""
    if squares.ndim < 3 or squares[0, 0].size < _RUN:
        return squares
    rows = squares.reshape(-1, squares[0, 0].size)
    whole = rows.shape[1] // _RUN * _RUN
    return np.asarray(rows[:, :whole].reshape(len(rows), -1, _RUN).mean(axis=2))


def _parts(path: str) -> list[set[str]]:
    """Weights that are changed together: independent errors add in squares, and all take memory."""
    document = Document(path)
    nodes = document.model.graph.node
    names = {name for node in nodes if node.op_type in _WEIGHTED for name in node.input}
    parts: list[set[str]] = [set()]
    size = 0
    for tensor in document.model.graph.initializer:
        if tensor.name in names:
            length = 8 * math.prod(tensor.dims)
            if parts[-1] and size + length > _PART_BYTES:
                parts.append(set())
                size = 0
            parts[-1].add(tensor.name)
            size += length
    return parts


def _noisy(path: str, part: set[str], rng: np.random.Generator) -> Iterator[tuple[str, Any]]:
    """Weights of a file, changed as rounding would."""
    import onnxruntime

    document = Document(path)
    for tensor in document.model.graph.initializer:
        values = document.array(tensor) if tensor.name in part else None
        if values is None or values.dtype.kind != "f" or values.size < 2:
            continue
        unit = float(np.finfo(values.dtype).eps) / 2
        matrix = values.ndim > 1
        terms = values[0].size if matrix else 3  # of a norm or a bias
        signs = rng.integers(0, 2, values.shape, np.int8) * np.int8(2) - np.int8(1)
        rows = rng.integers(0, 2, values.shape[:1] + (1,) * (values.ndim - 1)) * 2.0 - 1
        factor = 1 + signs * values.dtype.type(unit * math.sqrt((terms + 7) / 6))
        noisy = values * factor.astype(values.dtype)
        noisy *= (1 + rows * unit * math.sqrt((terms + 1) / 3)).astype(values.dtype)
        yield tensor.name, onnxruntime.OrtValue.ortvalue_from_numpy(noisy)


def _comparable(a: Array, b: Array) -> tuple[Array, Array]:
    """Without the elements that are not finite in the same way, such as a mask's."""
    if a.shape != b.shape:
        return np.zeros(1), np.full(1, np.nan)
    same = ~np.isfinite(a) & ((a == b) | (np.isnan(a) & np.isnan(b)))
    return np.where(same, 0, a), np.where(same, 0, b)


def _top1(before: Sequence[Array], after: Sequence[Array], judged: list[int]) -> float:
    """Share of rows of the first judged output with the same largest class; NaN of no such."""
    rows = [(before[i], after[i]) for i in judged if before[i].ndim == 2 and before[i].size]
    if not rows or rows[0][0].shape != rows[0][1].shape:
        return math.nan
    return float(np.mean(rows[0][0].argmax(1) == rows[0][1].argmax(1)))
