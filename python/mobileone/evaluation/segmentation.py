"""Segmenters on pictures with label maps: mean intersection over union.

As the authors of MobileViT evaluate: pictures keep their size but for a rest of the output stride,
one at a time; logits are interpolated to the label map; one confusion matrix of all pixels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from mobileone._core import label_map
from mobileone.data.datasets.pixel_labels import IGNORED, open_pixel_labels
from mobileone.data.whole import resized_input
from mobileone.evaluation.pictures import Pictures
from mobileone.evaluation.task_results import SegmentationEvaluation
from mobileone.network.session import Session
from mobileone.tasks.segmentation.labels import pixel_class_names
from mobileone.tasks.segmentation.mean_iou import ConfusionMatrix

if TYPE_CHECKING:
    import numpy.typing as npt

    from mobileone.data.arrays import Float32
    from mobileone.network.bundle import Bundle

__all__ = ["evaluate_segmenter"]


class _Ready(NamedTuple):
    """The network's input [1, C, H, W], and the label map of the picture."""

    x: Float32
    truth: npt.NDArray[Any]


def evaluate_segmenter(
    bundle: Bundle,
    data: Any,
    *,
    workers: int,
    threads: int,
    stop: bool,
    progress: bool | None = None,
) -> SegmentationEvaluation:
    """See `mobileone.evaluate` with metrics="miou"; the arguments are checked.

    Raises:
        TypeError, ValueError, OSError: no pictures with label maps, or of other classes.
    """
    samples = open_pixel_labels(data)
    if samples is None:
        raise TypeError(
            f"data is a {type(data).__name__}; expected VOC's folder, ADE20k's, or two paths, "
            "(pictures, label maps)"
        )
    stride = bundle.family.output_stride(bundle.config)
    least = bundle.family.min_size
    corners = bool(bundle.family.value(bundle.config, "align_corners"))

    def read(index: int) -> _Ready:
        pixels, truth = np.asarray(samples.image(index)), samples.labels(index)
        height, width = (max(least, side // stride * stride) for side in pixels.shape[:2])
        return _Ready(resized_input(pixels, (height, width), bundle.data_config), truth)

    how: dict[str, Any] = {"stop": stop, "workers": workers, "progress": progress}
    pictures = Pictures(len(samples), read, samples.key, **how)
    matrix, count = ConfusionMatrix(bundle.num_classes, IGNORED), 0
    session = Session(bundle, threads=threads)
    for number, ready in pictures:
        height, width = ready.truth.shape
        found = label_map(session.evaluated(ready.x)[0], height, width, corners)
        try:
            matrix.add(ready.truth, found)
        except ValueError as error:
            raise ValueError(f"{samples.key(number)}: {error}") from error
        count += 1
    if not count:
        raise ValueError(f"{samples.name}: gave no pictures; expected some")
    return SegmentationEvaluation(
        name=bundle.name,
        data=samples.name,
        count=count,
        matrix=matrix,
        class_names=pixel_class_names(bundle.num_classes, bundle.class_names),
        unreadable=tuple(pictures.unreadable),
    )
