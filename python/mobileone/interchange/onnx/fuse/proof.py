"""The proof of a region: its nodes before and after, in float64, on seeded inputs with borders.

Both are affine in exact arithmetic, and differ for two reasons. Weights are rounded to the file's
type
once: each by u |w|, so that the result errs by u (|W| * |x| + |b|) at most. And float64 rounds, in
either evaluation and in the algebra: n roundings on the longest way change a sum by n 2^-53 of the
sum of its terms' magnitudes, which the nodes before give when all their numbers are replaced by
magnitudes.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from mobileone.interchange.onnx.fuse.emit import Replacement
from mobileone.interchange.onnx.fuse.geometry import Geometry
from mobileone.interchange.onnx.fuse.kernel import Float64
from mobileone.interchange.onnx.fuse.ops.node import Node
from mobileone.interchange.onnx.fuse.reference import Interpreter, Lookup
from mobileone.verification.equivalence import StageError

__all__ = ["Proof", "prove", "row_of"]

_FLOAT64 = 2.0**-53


class Proof(NamedTuple):
    """Results of a region before and after, and how far apart rounding can bring each element."""

    before: Float64
    after: Float64
    bound: Float64


def prove(
    geometry: Geometry,
    source: str,
    nodes: list[Node],
    new: Replacement,
    constants: Lookup,
    opset: int,
    extents: tuple[int | None, ...],
    rng: np.random.Generator,
) -> Proof:
    """Evaluate a region's nodes and those that replace them.

    Args:
        geometry: of the region's map.
        source: name of the value that it is a map of.
        nodes: of the region, in topological order.
        new: what replaces them.
        constants: the constants that `nodes` read, by name.
        opset: the file's version of the standard operator set.
        extents: of the value along its spatial axes, where known.
        rng: draws the input, of standard deviation 1 around 1, so that no bias goes unseen.
    """
    shape = (1, geometry.inputs, *_sizes(geometry, extents))
    if not geometry.axes:
        shape = (4, geometry.inputs)
    x = {source: rng.normal(1.0, 1.0, shape)}
    magnitudes = {source: np.abs(x[source])}
    before = Interpreter(constants, opset)
    after = Interpreter(new.tensors.__getitem__, opset)
    nodes = _known(nodes)
    results = before.run(nodes, x), after.run(_known(new.nodes), x)
    bound = Interpreter(constants, opset, magnitudes=True).run(nodes, magnitudes)
    bound *= 2 * (before.terms + after.terms) * _FLOAT64
    dtype = next(iter(new.tensors.values())).dtype
    if dtype != np.float64:
        bound += _rounding(new, opset, magnitudes, np.finfo(dtype))
    flat = [array.reshape(bound.shape) for array in results]
    return Proof(flat[0], flat[1], bound)


def _rounding(new: Replacement, opset: int, magnitudes: dict[str, Float64], kind: Any) -> Float64:
    """What rounding the weights once changes: subnormal numbers to a grid, others relatively."""
    unit = float(kind.eps) / 2
    least = float(kind.smallest_subnormal) / 2

    def widened(name: str) -> npt.NDArray[Any]:
        # u |w| before rounding is at most u (1 + 2 u) |w| after it.
        return np.abs(new.tensors[name].astype(np.float64)) * (1 + 2 * unit) + least / unit

    return unit * Interpreter(widened, opset, magnitudes=True).run(_known(new.nodes), magnitudes)


def _known(nodes: list[Node]) -> list[Node]:
    """Without the shapes that reshapes read."""
    return [
        Node(n.name, n.kind, n.inputs[:1], n.outputs, n.attributes)
        if n.kind in ("Reshape", "Flatten")
        else n
        for n in nodes
    ]


def _sizes(geometry: Geometry, extents: tuple[int | None, ...]) -> list[int]:
    """Enough for whole windows and both borders; different axes end in different places."""
    sizes = []
    for index, axis in enumerate(geometry.axes or ()):
        # Where more is cropped than windows reach over, the shortest input of a result is longer.
        size = max(axis.last - axis.first + 1, -axis.slack) + 2 * axis.stride + index
        extent = extents[index] if index < len(extents) else None
        # Paddings that depend on the size depend on its remainder.
        sizes.append(size if extent is None else size + (extent - size) % axis.stride)
    return sizes


def row_of(name: str, proof: Proof) -> StageError:
    """A proof as a row: of the element that comes nearest to its own bound."""
    error = np.abs(proof.after - proof.before)
    finite = bool(np.isfinite(error).all() and np.isfinite(proof.bound).all())
    ratios = np.divide(error, proof.bound, out=np.zeros_like(error), where=error > 0)
    worst = int(ratios.argmax())
    largest, scale = float(error.max()), float(np.abs(proof.before).max())
    norms = float(np.linalg.norm(proof.before)) * float(np.linalg.norm(proof.after))
    cosine = float(np.vdot(proof.before, proof.after)) / norms if norms else 1.0
    ratio = float(ratios.reshape(-1)[worst]) if finite else math.inf
    return StageError(
        name,
        max_abs=largest,
        max_rel=largest / scale if scale else 0.0,
        cosine=cosine,
        bound=float(proof.bound.reshape(-1)[worst]),
        ratio=ratio,
        ok=ratio <= 1.0,
    )
