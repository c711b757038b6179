"""From a fused float network and calibration images to integers, with any of the cures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mobileone._core import Network
from mobileone.data.arrays import Float32
from mobileone.quantization.build import integer_network
from mobileone.quantization.equalize import Equalized, equalize
from mobileone.quantization.numbers import Range, sqnr
from mobileone.quantization.observers import tensor_range
from mobileone.quantization.settings import Settings
from mobileone.quantization.sites import Site
from mobileone.quantization.statistics import Statistics
from mobileone.quantization.walk import Walked, walk

__all__ = ["Outcome", "Pipeline", "noisiest"]

# Images that a convolution alone is judged on.
_SCAN_IMAGES = 4
# How many times the mean noise a convolution makes that is left in float32.
_NOISY = 3.0


@dataclass(frozen=True, eq=False)
class Outcome:
    """Integers of a network.

    Attributes:
        sites: which convolutions they are of.
        equalized: the float network that they are of.
        walked: the integers, and how good they are.
    """

    sites: Sequence[Site]
    equalized: Equalized
    walked: Walked

    @property
    def sqnr(self) -> float:
        """Of the network's result, in dB."""
        return sqnr(self.walked.exact, self.walked.rounded)


class Pipeline:
    """Everything that the cures have in common.

    Args:
        network: fused.
        sites: of it.
        statistics: of their sources and results.
        images: that the walk runs on.
        image_range: what images reach, where that is known; else it is observed.
    """

    def __init__(
        self,
        network: Network,
        sites: Sequence[Site],
        statistics: Mapping[str, Statistics],
        images: Float32,
        image_range: Range | None,
    ) -> None:
        self.graph, self.weights = network.graph, network.weights()
        self.sites, self.statistics, self.images = sites, statistics, images
        self._image_range = image_range

    def run(
        self,
        settings: Settings,
        sites: Sequence[Site] | None = None,
        step: Callable[[], None] = lambda: None,
    ) -> Outcome:
        """Integers of these sites, or of all."""
        chosen = self.sites if sites is None else sites
        equalized = self._equalized(settings)
        walked = self._walk(settings, equalized, chosen, self.images, step)
        return Outcome(chosen, equalized, walked)

    def alone(self, settings: Settings, step: Callable[[], None]) -> dict[str, float]:
        """By site: SQNR of the network's result in dB with nothing else in integers."""
        equalized = self._equalized(settings)
        images = self.images[:_SCAN_IMAGES]
        found = {}
        for site in self.sites:
            walked = self._walk(settings, equalized, [site], images, lambda: None)
            found[site.name] = sqnr(walked.exact, walked.rounded)
            step()
        return found

    def network(self, outcome: Outcome) -> Network:
        """With the integers in it."""
        own, integers = outcome.equalized, outcome.walked.integers
        return integer_network(self.graph, own.weights, outcome.sites, integers, own.divisors)

    def _equalized(self, settings: Settings) -> Equalized:
        return equalize(
            self.graph,
            self.weights,
            self.sites,
            self.statistics,
            settings.observer,
            depthwise=settings.depthwise_ranges,
            dense=settings.equalization,
        )

    def _walk(
        self,
        settings: Settings,
        equalized: Equalized,
        sites: Sequence[Site],
        images: Float32,
        step: Callable[[], None],
    ) -> Walked:
        observers = [settings.observer]
        if settings.stage_supervision and settings.observer != "minmax":
            observers.append("minmax")
        power = {name: own.square for name, own in equalized.statistics.items()}
        return walk(
            self.graph,
            equalized.weights,
            sites,
            [self._ranges(equalized, observer, settings.headroom) for observer in observers],
            images,
            power=power if settings.weight_clipping else None,
            correct=settings.bias_correction,
            step=step,
        )

    def _ranges(self, equalized: Equalized, observer: str, headroom: float) -> dict[str, Range]:
        """Of every site's source and result."""
        found = {}
        for name, own in equalized.statistics.items():
            counts = self._importance(name, equalized.weights)
            found[name] = tensor_range(own, observer, counts).widened(headroom)
        if self._image_range is not None:
            (image,) = self.graph.input_names
            found[image] = self._image_range
        return found

    def _importance(
        self, name: str, weights: Mapping[str, npt.NDArray[np.float32]]
    ) -> npt.NDArray[np.float64] | None:
        """How much the squared error of a tensor's channels counts in the sums made of it."""
        readers = [site for site in self.sites if site.source == name]
        counts = None
        for site in readers:
            squares = np.square(weights[f"{site.name}.weight"].astype(np.float64))
            own = squares.sum((1, 2, 3) if site.depthwise else (0, 2, 3))
            inputs = int(site.attributes["in_channels"])
            if len(own) != inputs:  # groups of several channels, or several outputs of one
                own = own.reshape(inputs, -1).sum(1) if site.depthwise else np.ones(inputs)
            counts = own if counts is None else counts + own
        return counts


def noisiest(alone: Mapping[str, float], macs: Mapping[str, int], budget: float) -> list[str]:
    """The sites that make far more noise than others, the worst first, within a share of the
    multiply-adds.
    """
    noise = {name: 10 ** (-value / 10) for name, value in alone.items()}
    mean, left = sum(noise.values()) / max(len(noise), 1), budget * sum(macs.values())
    chosen = []
    for name in sorted(noise, key=lambda name: -noise[name]):
        if noise[name] > _NOISY * mean and macs[name] <= left:
            chosen.append(name)
            left -= macs[name]
    return chosen
