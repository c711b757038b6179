"""`mobileone.fuse_onnx`: an ONNX file in, the same function in fewer nodes out, with evidence."""

from __future__ import annotations

import math
import os
import shutil
import tempfile

import numpy as np

from mobileone.checkpoint.containers.onnx_document import Document
from mobileone.interchange.onnx.fuse.proof import row_of
from mobileone.interchange.onnx.fuse.regions import Left
from mobileone.interchange.onnx.fuse.result import FusedRegion, OnnxFusion
from mobileone.interchange.onnx.fuse.rewrite import Walk
from mobileone.interchange.onnx.fuse.runtime import InputShapes, WholeFile, compare_files
from mobileone.interchange.onnx.fuse.save import save
from mobileone.util.files import check_writable, whole_file
from mobileone.verification.equivalence import StageError
from mobileone.verification.rounding import FALSE_ALARM

__all__ = ["fuse_onnx"]

# A region that another one was in the way of is found in the next walk.
_MAX_WALKS = 8


def fuse_onnx(
    path: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    input_shapes: InputShapes | None = None,
    run: bool = True,
) -> OnnxFusion:
    """Re-parameterize any ONNX file: branches that are linear in one value become one convolution.

    Regions between single values in which everything is affine (convolutions of any window, batch
    norms in inference, poolings with one divisor, scales, shifts, sums, zero padding, matrix
    products) are computed in float64 as one convolution or matrix product, rounded once, and
    replaced where that takes fewer multiply-adds, weights or passes over memory, and more of none.
    Everything else of the file stays: other operators and domains, subgraphs, names, metadata,
    types, versions.

    Args:
        path: the file. Weights in a second file are read from there.
        out: where to, a name that ends with .onnx; an existing file is replaced when the new one is
            complete. If `path` has its weights in a second file, so has this one: `<out>.data`.
        input_shapes: for the run of the whole file, by input; open axes of other inputs get a batch
            of 1 and 64 x 64 pixels.
        run: whether both files are run in ONNX Runtime, where it is installed.

    Returns:
        The evidence: every region before and after in float64, then the whole file's outputs, each
        with its bound. Nothing is written where one of them leaves it.

    Raises:
        CheckpointError: the file is no ONNX model, or is damaged.
        ValueError: a bad shape in `input_shapes`; a name for `out` that says another kind of file.
        OSError: `out` cannot be written, which is known before the work.
        ImportError: onnx is not installed.
    """
    source, target = os.fsdecode(path), os.path.abspath(os.fsdecode(out))
    if not target.lower().endswith(".onnx"):
        raise ValueError(f"out is {os.fsdecode(out)!r}; expected a name that ends with .onnx")
    check_writable(target)
    work = _Work(source)
    # A file's NaN, signalling ones too, is left as it is, and said.
    with np.errstate(invalid="ignore"):
        work.fuse()
    rows, whole = work.rows, WholeFile([], "not run", math.nan, "no input")
    if all(row.ok for row in rows):
        # Under its own name from the beginning, which the file with the weights is called after.
        with tempfile.TemporaryDirectory(dir=os.path.dirname(target), prefix=".fuse_") as folder:
            made = os.path.join(folder, os.path.basename(target))
            save(work.document, made)
            del work.document  # and the memory that it takes
            if run:
                whole = compare_files(source, made, input_shapes or {})
            rows = [*rows, *whole.rows]
            if all(row.ok for row in rows):
                _move(folder, target)
    before, after = work.sizes
    hint = "" if all(row.ok for row in rows) else f"{target} was not written."
    return OnnxFusion(
        os.path.basename(source),
        os.path.basename(target),
        rows,
        whole.top1_agreement,
        whole.images,
        FALSE_ALARM,
        hint,
        regions=work.regions,
        left=work.left,
        nodes=(before[0], after[0]),
        parameters=(before[1], after[1]),
        bytes=(before[2], after[2]),
        runtime=whole.runtime,
    )


class _Work:
    """A document being fused, and what is known of that."""

    def __init__(self, path: str) -> None:
        self.document = Document(path)
        self.regions: list[FusedRegion] = []
        self.rows: list[StageError] = []
        self.left: list[Left] = []
        self.sizes = [self._size()]

    def _size(self) -> tuple[int, int, int]:
        """Nodes; elements and bytes of initializers."""
        return len(self.document.model.graph.node), *self.document.size()

    def fuse(self) -> None:
        """Replace region after region until there is none."""
        rng = np.random.default_rng(0)
        for _ in range(_MAX_WALKS):
            walk = Walk(self.document)
            for region, proof in walk.run(rng):
                self.regions.append(region)
                self.rows.append(row_of(region.output, proof))
            self.left = walk.left
            if not walk.count:
                break
        self.sizes.append(self._size())


def _move(folder: str, target: str) -> None:
    """Put finished files where they belong, the model last."""
    for path in (f"{target}.data", target):
        made = os.path.join(folder, os.path.basename(path))
        if os.path.exists(made):
            with open(made, "rb") as source, whole_file(path) as file:
                shutil.copyfileobj(source, file)
