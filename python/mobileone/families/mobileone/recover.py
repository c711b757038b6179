"""A MobileOne's configuration from the names and shapes of its tensors alone."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from mobileone.families.family import INFERENCE, MAX_BLOCKS, MAX_STAGES, TRAIN_TIME
from mobileone.util.errors import CheckpointError, Shape, listed

_BLOCK = re.compile(r"(stage(?:0|([1-9][0-9]*)\.([0-9]+)))\.(.+)")
_BRANCH = re.compile(r"rbr_conv\.([0-9]+)\.conv\.weight")


class _Evidence:
    """What the tensors say, collected per stage. Counters, so that one bad tensor does not lead."""

    def __init__(self, shapes: Mapping[str, Shape]) -> None:
        self.depth: Counter[int] = Counter()
        self.widths: dict[int, Counter[int]] = {}
        self.stem: Counter[tuple[int, int]] = Counter()
        self.branches = 0
        self.se_widths: dict[str, int] = {}
        self.fused: set[str] = set()
        self.unfused: set[str] = set()
        for name, shape in shapes.items():
            match = _BLOCK.fullmatch(name)
            if match is not None:
                block, stage, index, part = match.groups()
                self._add(block, int(stage or 0), int(index or 0), part, shape)

    def _add(self, block: str, stage: int, index: int, part: str, shape: Shape) -> None:
        if part.startswith("reparam_conv."):
            self.fused.add(block)
        elif part.startswith("rbr_"):
            self.unfused.add(block)
        if part == "se.reduce.weight" and shape:
            self.se_widths[block] = shape[0]
        branch = _BRANCH.fullmatch(part)
        is_kernel = branch is not None or part == "reparam_conv.weight"
        if stage == 0:
            if is_kernel and len(shape) == 4:
                self.stem[shape[:2]] += 1
            return
        self.depth[stage] = max(self.depth[stage], index // 2 + 1)
        if branch is not None:
            self.branches = max(self.branches, int(branch.group(1)) + 1)
        if is_kernel and len(shape) == 4 and index % 2 == 1:
            self.widths.setdefault(stage, Counter())[shape[0]] += 1
        if is_kernel and len(shape) == 4 and index % 2 == 0 and index > 0:
            # A depthwise block after the first pair has the stage's width too.
            self.widths.setdefault(stage, Counter())[shape[0]] += 1


def recover(shapes: Mapping[str, Shape], source: str) -> dict[str, Any]:
    """What `Family.recover` gives: the form is what most blocks are; num_classes is 0 without a
    classifier. A fused network does not show how many branches it was trained with.
    """
    found = _Evidence(shapes)
    stages = max(found.depth, default=0)
    without = [f"stage{s}" for s in range(1, stages + 1) if not found.widths.get(s)]
    if not found.stem or not stages or without:
        absent = ([] if found.stem else ["stage0 (the stem)"]) + without
        raise CheckpointError(
            f"{source}: no convolution of {listed(absent or ['any stage'])} among "
            f"{len(shapes)} tensors; expected a whole MobileOne"
        )
    if stages > MAX_STAGES or max(found.depth.values()) > MAX_BLOCKS or found.branches > MAX_BLOCKS:
        raise CheckpointError(
            f"{source}: {stages} stages, up to {max(found.depth.values())} pairs each, "
            f"{found.branches} branches; expected at most {MAX_STAGES}, {MAX_BLOCKS}, {MAX_BLOCKS}"
        )
    convolutions = 2 * sum(found.depth.values()) * max(found.branches, 1)
    if convolutions > 4 * len(shapes) + 64:
        # One stray key must not make a small file describe a network of millions of tensors.
        raise CheckpointError(
            f"{source}: its names speak of {convolutions} convolutions, "
            f"but it has {len(shapes)} tensors"
        )
    stem_width, in_channels = found.stem.most_common(1)[0][0]
    classifier = shapes.get("linear.weight", ())
    fused = len(found.fused) > len(found.unfused)
    return {
        "stem_width": stem_width,
        "widths": [found.widths[s].most_common(1)[0][0] for s in range(1, stages + 1)],
        "depths": [found.depth[s] for s in range(1, stages + 1)],
        **({} if fused else {"num_conv_branches": max(found.branches, 1)}),
        "se_widths": found.se_widths,
        "num_classes": classifier[0] if len(classifier) == 2 else 0,
        "in_channels": in_channels,
        "form": INFERENCE if fused else TRAIN_TIME,
    }


def half_fused(shapes: Mapping[str, Shape]) -> str:
    """What is wrong where some blocks are fused and others, or the same ones, are not; else ""."""
    if not all(any(mark in name for name in shapes) for mark in (".reparam_conv.", ".rbr_")):
        return ""
    found = _Evidence(shapes)
    if not (found.fused and found.unfused):
        return ""
    few, what = min((found.fused, "fused"), (found.unfused, "not fused"), key=lambda x: len(x[0]))
    return (
        f"it is half fused ({len(found.fused)} blocks with reparam_conv, {len(found.unfused)} with "
        f"branches; {what}: {listed(sorted(few))})"
    )
