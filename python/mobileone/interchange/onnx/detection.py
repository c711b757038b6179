"""A detector's maps to boxes in ONNX's operators, with its NonMaxSuppression."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from mobileone.tasks.detection.rule import DetectionRule

if TYPE_CHECKING:
    from mobileone.data.arrays import Float32
    from mobileone.interchange.onnx.writer import OnnxWriter
    from mobileone.tasks.detection.codes import BoxCode

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
    code: BoxCode,
    input_size: tuple[int, int],
) -> int:
    """Append what turns maps into boxes; the number of anchors.

    Args:
        writer: has the maps' operators.
        maps: the maps' names and shapes.
        classes: with the background.
        rule: how; ONNX's operator takes no `candidates`, and `most` as the most of each class.
        code: of the maps.
        input_size: (height, width) of the network's input.
    """
    writer.begin("detections")
    offsets, logits = _numbers(writer, list(maps), classes, code)
    step = 2 if code.separate else 1
    sizes = tuple((s[2], s[3]) for s in list(maps.values())[::step])
    count = _add_boxes(writer, offsets, code.anchors(sizes, input_size), code)
    scores = writer.add("Softmax", logits, axis=2)
    first = 0 if code.background(classes) else 1
    scores = _columns(writer, scores, first, first + classes - 1)
    scores = writer.add("Transpose", scores, perm=[0, 2, 1])
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


def _numbers(writer: OnnxWriter, maps: list[str], classes: int, code: BoxCode) -> tuple[str, str]:
    """Offsets [N, anchors, 4] and logits [N, anchors, classes]."""
    if code.separate:
        logits = [_rows(writer, name, classes) for name in maps[::2]]
        offsets = [_rows(writer, name, 4) for name in maps[1::2]]
        return writer.add("Concat", *offsets, axis=1), writer.add("Concat", *logits, axis=1)
    rows = [_rows(writer, name, 4 + classes) for name in maps]
    together = writer.add("Concat", *rows, axis=1)
    return _columns(writer, together, 0, 4), _columns(writer, together, 4, 4 + classes)


def _rows(writer: OnnxWriter, name: str, numbers: int) -> str:
    """[N, anchors, numbers] of a map [N, anchors * numbers, h, w]."""
    last = writer.add("Transpose", name, perm=[0, 2, 3, 1])
    return writer.reshape(last, 0, -1, numbers)


def _columns(writer: OnnxWriter, rows: str, begin: int, end: int) -> str:
    bounds = (writer.integers(begin), writer.integers(end), writer.integers(2))
    return writer.add("Slice", rows, *bounds)


def _add_boxes(writer: OnnxWriter, offsets: str, anchors: Float32, code: BoxCode) -> int:
    """(left, top, right, bottom) of every anchor, in units of the picture's sides; their number."""
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
    if math.isfinite(code.growth):
        grown = _clipped(writer, grown, -code.growth, code.growth)
    half = writer.add("Mul", writer.add("Exp", grown), "detections.halves")
    corners = (writer.add("Sub", middle, half), writer.add("Add", middle, half))
    boxes = writer.add("Concat", *corners, axis=2)
    if code.clip:
        _clipped(writer, boxes, 0.0, 1.0)
    writer.nodes[-1].output[0] = BOXES
    return len(anchors)


def _clipped(writer: OnnxWriter, value: str, low: float, high: float) -> str:
    names = []
    for bound in (low, high):
        names.append(f"detections.bound{bound:g}")
        writer.constants[names[-1]] = np.array(bound, np.float32)
    return writer.add("Clip", value, *names)
