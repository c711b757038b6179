"""quantize: a fused network's convolutions in 8-bit integers, and what that costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from mobileone._core import Network
from mobileone.data.arrays import Float32
from mobileone.data.config import DataConfig
from mobileone.families.heads.head import PREFIX
from mobileone.families.imported import FAMILY, config_of, config_of_head
from mobileone.network.bundle import Bundle
from mobileone.quantization.images import Calibration, Labelled, labelled_images, read_calibration
from mobileone.quantization.judge import Agreement, judge
from mobileone.quantization.linear import (
    Shapes,
    around_transformers,
    is_classifier,
    linear_as_convolutions,
    of_tokens,
)
from mobileone.quantization.numbers import Range
from mobileone.quantization.pipeline import Outcome, Pipeline, noisiest
from mobileone.quantization.progress import Progress
from mobileone.quantization.report import Cure, QuantizationReport, Step
from mobileone.quantization.settings import CURES, Settings
from mobileone.quantization.sites import Node, Site, find_sites
from mobileone.quantization.statistics import Statistics, collect

__all__ = ["quantize_bundle"]

# A channel whose range is this many times the median's is an outlier.
_OUTLIER = 8.0
# Of the images that biases and stages are computed on: 16 of 224 x 224.
_PIXELS = 16 * 224 * 224


def quantize_bundle(
    bundle: Bundle,
    calibration: Any,
    settings: Settings,
    *,
    labels: Any = None,
    held_out: Any = None,
    held_out_labels: Any = None,
    ablation: bool = False,
    progress: bool | None = None,
) -> Bundle:
    """The int8 network of a float one; see `mobileone.quantize`."""
    settings.check()
    if held_out is None and held_out_labels is not None:
        raise ValueError("held_out_labels are given; expected held_out, which they are of")
    fused = bundle.reparameterized()
    fused = replace(fused, network=_with_convolutions(fused, settings))
    sites = _sites(fused, settings)
    images = read_calibration(fused, calibration, labels, settings.images)
    names = list(dict.fromkeys(name for site in sites for name in (site.source, site.result)))
    runs = len(CURES) if ablation else 0
    scan = len(sites) if settings.float_budget else 0
    with Progress(2 * len(images.images) + (1 + runs) * len(sites) + scan, progress) as bar:
        statistics = collect(fused.network, images.images, names, bar.step)
        chosen = _some(images.images)
        known = _image_range(fused.data_config, statistics.get(fused.graph.input_names[0]))
        pipeline = Pipeline(fused.network, sites, statistics, chosen, known)
        macs = _macs(fused, sites, images.images.shape)
        alone = pipeline.alone(settings, bar.step) if settings.float_budget else {}
        left = noisiest(alone, macs, settings.float_budget) if alone else []
        integer = [site for site in sites if site.name not in left]
        outcome = pipeline.run(settings, integer, bar.step)
        cures = _cures(pipeline, settings, outcome, bar) if ablation else []
    made = _bundle(fused, pipeline, outcome)
    report = QuantizationReport(
        name=fused.name,
        observer=settings.observer,
        images=len(images.images),
        steps=tuple(_steps(find_sites(fused.graph), outcome, statistics, macs, alone)),
        cures=tuple(cures),
        data=tuple(_judged(fused, made, images, held_out, held_out_labels)),
        notes=images.notes,
    )
    return replace(made, quantization=report.to_text())


def _with_convolutions(fused: Bundle, settings: Settings) -> Network:
    """Its linear layers that are to be integers as convolutions."""
    results = fused.graph.outputs.values()

    def chosen(node: Node, shapes: Shapes) -> bool:
        name = node["name"]
        classifies = name in results and is_classifier(node, shapes)
        on_tokens = settings.linear_layers and of_tokens(node, shapes)
        return (on_tokens or classifies) and name not in settings.keep_float

    shape = (1, fused.in_channels, *fused.input_size)
    return linear_as_convolutions(fused.network, shape, chosen)


def _sites(bundle: Bundle, settings: Settings) -> list[Site]:
    """What is to be integers.

    Raises:
        NotImplementedError: nothing can be, or it is not known what the results are.
        ValueError: integers already, or a name in `keep_float` that no convolution has.
    """
    if bundle.quantization:
        raise ValueError(f"{bundle.name} is quantized already; expected a float network")
    if bundle.task == "other":
        raise NotImplementedError(
            f"quantize: {bundle.name} is {bundle.purpose}; classifiers, segmenters and detectors "
            "can be quantized"
        )
    found = find_sites(bundle.graph)
    whole = set() if settings.linear_layers else around_transformers(bundle.graph)
    linear = [node["name"] for node in bundle.graph.nodes if node["kind"] == "Linear"]
    for name in settings.keep_float:
        if name not in [*(site.name for site in found), *linear]:
            known = ", ".join(site.name for site in found[:5])
            raise ValueError(
                f"keep_float has {name!r}; expected convolutions or linear layers, such as {known}"
            )
    chosen = [site for site in found if site.name not in {*settings.keep_float, *whole}]
    if bundle.task != "classification":
        # The head's few convolutions make the scores and boxes themselves.
        chosen = [site for site in chosen if site.name.startswith(PREFIX)]
    if not chosen:
        raise NotImplementedError(f"quantize: {bundle.name} has no convolution to quantize")
    return chosen


def _some(images: Float32) -> Float32:
    """So many of them, spread over all, that both networks' maps of a layer fit memory."""
    most = max(1, _PIXELS // (images.shape[2] * images.shape[3]))
    taken = min(len(images), most)
    return images[[i * len(images) // taken for i in range(taken)]]


def _image_range(data: DataConfig, seen: Statistics | None) -> Range | None:
    """Of 8-bit pixels: what black and white are normalised to. With one mean and deviation for all
    channels every pixel value is an integer then. None for images that are no pixels.
    """
    if seen is None:
        return None
    mean, std = np.asarray(data.mean, np.float64), np.asarray(data.std, np.float64)
    low, high = float(((0 - mean) / std).min()), float(((1 - mean) / std).max())
    slack = 1e-3 * (high - low)
    inside = seen.low.min() >= min(low, 0) - slack and seen.high.max() <= max(high, 0) + slack
    covers = seen.high.max() - seen.low.min() > 0.5 * (high - low)
    return Range.of(low, high) if inside and covers else None


def _macs(bundle: Bundle, sites: Sequence[Site], shape: tuple[int, ...]) -> dict[str, int]:
    shapes = bundle.graph.shapes((1, *shape[1:]))
    found = {}
    for site in sites:
        parts, channels, height, width = shapes[site.name]
        rows, columns = site.attributes["kernel_size"]
        inputs = site.attributes["in_channels"] // site.attributes["groups"]
        found[site.name] = parts * channels * height * width * inputs * rows * columns
    return found


def _cures(pipeline: Pipeline, settings: Settings, outcome: Outcome, bar: Progress) -> list[Cure]:
    """Each off, with those on that are on."""
    found = []
    for name in CURES:
        if not getattr(settings, name):
            continue
        off = pipeline.run(settings.without(name), outcome.sites, bar.step)
        found.append(Cure(name, off.sqnr, outcome.sqnr))
    return found


def _bundle(fused: Bundle, pipeline: Pipeline, outcome: Outcome) -> Bundle:
    network = pipeline.network(outcome)
    if fused.task == "classification":
        config = config_of(network.graph, (1, fused.in_channels, *fused.input_size))
    else:
        config = config_of_head(network.graph, fused.config)
    return replace(
        fused,
        network=network,
        config=config,
        arch=FAMILY.name,
        name=f"{fused.name} int8",
        report=None,
    )


def _steps(
    sites: Sequence[Site],
    outcome: Outcome,
    statistics: dict[str, Statistics],
    macs: dict[str, int],
    alone: dict[str, float],
) -> list[Step]:
    rows = []
    for site in sites:
        integers = outcome.walked.integers.get(site.name)
        seen = statistics.get(site.result)
        low, high = (0.0, 0.0) if seen is None else (float(seen.low.min()), float(seen.high.max()))
        rows.append(
            Step(
                name=site.name,
                kind=site.kind,
                dtype="float32" if integers is None else "int8",
                macs=macs.get(site.name, 0),
                low=low if integers is None else integers.output.low,
                high=high if integers is None else integers.output.high,
                sqnr=outcome.walked.sqnr.get(site.name),
                outliers=0 if seen is None else _outliers(seen),
                alone=alone.get(site.name),
            )
        )
    return rows


def _outliers(seen: Statistics) -> int:
    alive = seen.edge[seen.edge > 0]
    return int((seen.edge > _OUTLIER * np.median(alive)).sum()) if len(alive) else 0


def _judged(
    fused: Bundle, made: Bundle, images: Calibration, held_out: Any, labels: Any
) -> list[Agreement]:
    pairs = zip(images.images, images.right, strict=True)
    own = [Labelled(image[None], right) for image, right in pairs]
    found = [judge("calibration", fused, made, own)]
    if held_out is not None:
        rest = labelled_images(fused, held_out, labels, "held_out")
        found.append(judge("held-out", fused, made, rest))
    return found
