"""How detectors' numbers are boxes and classes: the authors of MobileViT's way, and mmdet's."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from mobileone._core import ssd_anchors
from mobileone.tasks.detection.rule import DetectionRule

if TYPE_CHECKING:
    from mobileone.data.arrays import Float32

__all__ = ["CVNETS", "MMDET", "BoxCode", "Size", "anchors_of", "mmdet_anchors"]

Size = tuple[int, int]  # height, width

# Of each map's anchors, and the range of scales (Liu et al. 2016; CVNets).
RATIOS = ((2, 3), (2, 3), (2, 3), (2, 3), (2, 3), (2,))
SMALLEST, LARGEST = 0.1, 1.05
# mmdet's SSDLite for pictures of 320 x 320: pixels from an anchor to the next, and their sizes.
_STRIDES = (16, 32, 64, 107, 160, 320)
_SIZES = (48, 100, 150, 202, 253, 304, 320)


_CVNETS_RULE = DetectionRule()


@dataclass(frozen=True)
class BoxCode:
    """How maps are boxes. Centres move by offsets times 0.1 of the anchor's size, sizes grow by
    exp(0.2 times the offset).

    Attributes:
        name: of the library.
        anchors: for the sizes of maps and of the network's input: float32 [n, 4], centre x and y,
            width and height, in units of the picture's sides.
        background_last: whether the last class is the background, and not the first.
        separate: whether maps of scores and of offsets take turns, and not both in one.
        clip: whether boxes are cut at the picture's border before they are compared, and those
            outside dropped.
        growth: of sizes: the most that they grow or shrink by.
        per_map: of each map the most (anchor, class) that are looked at; 0: all.
        rule: that the authors evaluate with.
    """

    name: str
    anchors: Callable[[tuple[Size, ...], Size], Float32]
    background_last: bool = False
    separate: bool = False
    clip: bool = False
    growth: float = math.inf
    per_map: int = 0
    rule: DetectionRule = _CVNETS_RULE

    def background(self, classes: int) -> int:
        """The number of the background among the scores of so many classes."""
        return classes - 1 if self.background_last else 0

    def sizes(self, maps: Mapping[str, Float32]) -> tuple[Size, ...]:
        """Height and width of each resolution."""
        step = 2 if self.separate else 1
        return tuple((m.shape[2], m.shape[3]) for m in list(maps.values())[::step])

    def joined(self, maps: Mapping[str, Float32], classes: int) -> list[Float32]:
        """One array [N, anchors * (4 + classes), h, w] for each resolution."""
        arrays = list(maps.values())
        if not self.separate:
            return arrays
        pairs = zip(arrays[::2], arrays[1::2], strict=True)
        return [_one_map(scores, offsets, classes) for scores, offsets in pairs]

    def parted(self, maps: list[Float32], classes: int) -> list[Float32]:
        """What `joined` joined, as it was: of gradients."""
        if not self.separate:
            return maps
        return [part for one in maps for part in _two_maps(one, classes)]


def _one_map(scores: Float32, offsets: Float32, classes: int) -> Float32:
    images, _, *sides = scores.shape
    parts = [one.reshape(images, -1, n, *sides) for one, n in ((offsets, 4), (scores, classes))]
    return np.concatenate(parts, 2).reshape(images, -1, *sides)


def _two_maps(joined: Float32, classes: int) -> tuple[Float32, Float32]:
    images, _, *sides = joined.shape
    parts = joined.reshape(images, -1, 4 + classes, *sides)
    scores, offsets = parts[:, :, 4:], parts[:, :, :4]
    return scores.reshape(images, -1, *sides), offsets.reshape(images, -1, *sides)


@lru_cache(maxsize=16)
def anchors_of(sizes: tuple[Size, ...], input_size: Size = (320, 320)) -> Float32:
    """Of the authors of MobileViT: the same for every input size."""
    return _constant(ssd_anchors(sizes, RATIOS, SMALLEST, LARGEST))


@lru_cache(maxsize=16)
def mmdet_anchors(sizes: tuple[Size, ...], input_size: Size) -> Float32:
    """mmdet's: in each cell a square of its map's size, one of the geometric mean with the next,
    then a wide and a tall one of ratio 2 and of ratio 3. Sizes and distances are pixels, whatever
    the input's size; centres (i + 0.5) strides. Computed in float64, rounded once.
    """
    rows = []
    for (height, width), stride, low, high in zip(
        sizes, _STRIDES, _SIZES[:-1], _SIZES[1:], strict=True
    ):
        between, shapes = np.sqrt(low * high), [(float(low), float(low))]
        shapes.append((between, between))
        for ratio in (2, 3):
            root = np.sqrt(ratio)
            shapes += [(low * root, low / root), (low / root, low * root)]
        y, x = np.mgrid[:height, :width]
        centres = (np.stack([x, y], -1).reshape(-1, 1, 2) + 0.5) * stride
        extents = np.broadcast_to(np.array(shapes), (len(centres), len(shapes), 2))
        both = np.concatenate([np.broadcast_to(centres, extents.shape), extents], -1)
        rows.append(both.reshape(-1, 4))
    scale = np.tile(np.array(input_size[::-1], np.float64), 2)
    return _constant((np.concatenate(rows) / scale).astype(np.float32))


def _constant(anchors: Float32) -> Float32:
    anchors.flags.writeable = False
    return anchors


CVNETS = BoxCode("cvnets", anchors_of)
# Sizes change by a factor of 1000 / 16 at most (mmdet's DeltaXYWHBBoxCoder).
MMDET = BoxCode(
    "mmdet",
    mmdet_anchors,
    background_last=True,
    separate=True,
    clip=True,
    growth=float(np.log(1000 / 16)),
    per_map=1000,
    rule=DetectionRule(score=0.02, overlap=0.45, candidates=6000, most=200),
)
