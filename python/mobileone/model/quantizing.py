"""quantize: a model in 8-bit integers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mobileone.model.loading import load
from mobileone.model.model import Model

__all__ = ["quantize"]


def quantize(
    source: Any,
    calibration: Any,
    *,
    labels: Any = None,
    held_out: Any = None,
    held_out_labels: Any = None,
    observer: str = "squared_error",
    headroom: float = 0.15,
    depthwise_ranges: bool = True,
    equalization: bool = True,
    weight_clipping: bool = True,
    stage_supervision: bool = True,
    bias_correction: bool = True,
    float_budget: float = 0.0,
    keep_float: str | Sequence[str] = (),
    linear_layers: bool = True,
    images: int = 128,
    ablation: bool = False,
    progress: bool | None = None,
) -> Model:
    """A network with its convolutions in 8-bit integers (docs/low_precision.md).

    A train-time network is re-parameterized first. Activations become integers 0 to 255 with a
    scale and zero point per tensor, weights -127 to 127 with a scale per output channel; sums are
    32-bit integers. Pooled values, gates and small classifiers stay in float32, and so do the
    heads of segmenters and detectors. The same images give the same network.

    Args:
        source: a Model, or anything that `load` takes.
        calibration: images like those that it will see; a hundred suffice. An array [N, C, H, W],
            an iterable of images, of batches or of (image, label), a folder of pictures, or
            anything that `mobileone.evaluate` takes as data.
        labels: what they show, as for `evaluate`.
        held_out: other images, on which only the result is judged.
        held_out_labels: what those show.
        observer: what limits a range: "minmax", "percentile" (all but one value in 10^4),
            "squared_error" or "absolute_error".
        headroom: by which share ranges are wider than that, since other images have other extremes.
        depthwise_ranges: a range per channel of what depthwise convolutions read, which costs
            nothing.
        equalization: scales moved from depthwise into dense convolutions where that lowers the
            noise of the sums (Nagel et al. 2019, section 4.1).
        weight_clipping: weights may be clipped where that lowers it, too.
        stage_supervision: of the observer's ranges and those from minimum to maximum, each stage
            has those that leave its result with the least noise.
        bias_correction: the mean of every sum is the float network's (section 4.2 there).
        float_budget: share of the multiply-adds that may stay in float32: in the convolutions that,
            alone, make far more noise than others.
        keep_float: convolutions and linear layers that stay in float32, by name.
        linear_layers: whether those on tokens, and the convolutions around transformers, are
            integers, too; False leaves every transformer one step in float32, which is slower and,
            by half a decibel or less, more exact.
        images: how many of the images are used, spread over all where their number is known.
        ablation: whether the report shows every cure off, too; takes several times as long.
        progress: a bar on stderr; None: in terminals only.

    Returns:
        The model; `Model.quantization` is its report.

    Raises:
        ValueError: no images, of several sizes, or not finite; a bad argument.
        TypeError: no images.
        NotImplementedError: a network without convolutions that integers can compute, or of a task
            that nothing told.
    """
    from mobileone.quantization.settings import Settings
    from mobileone.quantization.verb import quantize_bundle

    settings = Settings(
        observer=observer,
        headroom=headroom,
        depthwise_ranges=depthwise_ranges,
        equalization=equalization,
        weight_clipping=weight_clipping,
        stage_supervision=stage_supervision,
        bias_correction=bias_correction,
        float_budget=float_budget,
        keep_float=(keep_float,) if isinstance(keep_float, str) else tuple(keep_float),
        linear_layers=linear_layers,
        images=images,
    )
    told: dict[str, Any] = {"labels": labels, "held_out": held_out, "ablation": ablation}
    told |= {"held_out_labels": held_out_labels, "progress": progress}
    return Model.of(quantize_bundle(load(source).bundle, calibration, settings, **told))
