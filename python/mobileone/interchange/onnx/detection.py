"""A detector's maps to boxes in ONNX's operators, with its NonMaxSuppression."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from mobileone.tasks.detection.boxes import DetectionRule, anchors_of

if TYPE_CHECKING:
    from mobileone.interchange.onnx.writer import OnnxWriter

__all__ = ["BOXES", "SCORES", "SELECTED", "add_suppression"]

_CENTRE, _SIZE = 0.1, 0.2  # variances (Liu et al. 2016; CVNets)
# What the results are called: of every anchor its box and the probabilities of the objects'
# classes, and (image, class less the background, anchor) of the boxes that are left.
BOXES, SCORES, SELECTED = "boxes", "scores", "selected"


def add_suppression(
    writer: OnnxWriter,
    maps: Mapping[str, Sequence[int]],
    classes: int,
    rule: DetectionRule,
) -> int:
    """Append what turns maps into boxes; the number of anchors.

    Args:
        writer: has the maps' operators.
        maps: the maps' names and shapes.
        classes: with the background, which is class 0.
        rule: how; ONNX's operator takes no `candidates`, and `most` as the most of each class.
    """
    writer.begin("detections")
    rows = [_rows(writer, name, 4 + classes) for name in maps]
    together = writer.add("Concat", *rows, axis=1)
    offsets = _columns(writer, together, 0, 4)
    logits = _columns(writer, together, 4, 4 + classes)
    count = _add_boxes(writer, offsets, tuple((s[2], s[3]) for s in maps.values()))
    scores = writer.add("Softmax", logits, axis=2)
    scores = writer.add("Transpose", _columns(writer, scores, 1, classes), perm=[0, 2, 1])
    writer.nodes[-1].output[0] = SCORES
    writer.constants["detections.overlap"] = np.array([rule.overlap], np.float32)
    writer.constants["detections.score"] = np.array([rule.score], np.float32)
    writer.add(
        "NonMaxSuppression",
        BOXES,
        SCORES,
        writer.integers(rule.most),
        "detections.overlap",
        "detections.score",
    )
    writer.nodes[-1].output[0] = SELECTED
    return count


def _rows(writer: OnnxWriter, name: str, numbers: int) -> str:
    """[N, anchors, numbers] of a map [N, anchors * numbers, h, w]."""
    last = writer.add("Transpose", name, perm=[0, 2, 3, 1])
    return writer.reshape(last, 0, -1, numbers)


def _columns(writer: OnnxWriter, rows: str, begin: int, end: int) -> str:
    bounds = (writer.integers(begin), writer.integers(end), writer.integers(2))
    return writer.add("Slice", rows, *bounds)


def _add_boxes(writer: OnnxWriter, offsets: str, sizes: tuple[tuple[int, int], ...]) -> int:
    """(left, top, right, bottom) of every anchor, in units of the picture's sides; their number."""
    anchors = anchors_of(sizes)
    centres, extents = anchors[None, :, :2], anchors[None, :, 2:]
    constants = {
        "steps": np.float32(_CENTRE) * extents,
        "centres": np.ascontiguousarray(centres),
        "halves": np.float32(0.5) * extents,
        "growth": np.array(_SIZE, np.float32),
    }
    for name, array in constants.items():
        writer.constants[f"detections.{name}"] = array
    moved = writer.add("Mul", _columns(writer, offsets, 0, 2), "detections.steps")
    middle = writer.add("Add", moved, "detections.centres")
    grown = writer.add("Mul", _columns(writer, offsets, 2, 4), "detections.growth")
    half = writer.add("Mul", writer.add("Exp", grown), "detections.halves")
    corners = (writer.add("Sub", middle, half), writer.add("Add", middle, half))
    writer.add("Concat", *corners, axis=2)
    writer.nodes[-1].output[0] = BOXES
    return len(anchors)
