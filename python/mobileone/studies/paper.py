"""Numbers of the MobileOne paper: Vasu et al., arXiv:2206.04040, CVPR 2023.

What the paper reports for the network with skip connections (Table 3) and for the variants mu0 to
mu2 is not here: we have not checked those numbers against the source, so they show as missing.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

__all__ = ["ACTIVATIONS_MS", "BLOCKS_MS", "CORRELATIONS", "CPU_MS", "MOBILE_MS"]
__all__ += ["ROBUSTNESS", "TOP1"]


class Correlation(NamedTuple):
    """Spearman's rank correlation coefficient and its p-value."""

    coefficient: float
    p_value: float


# Table 2: latency (ms) on an iPhone 12 in a convolutional network of 30 layers.
ACTIVATIONS_MS: Mapping[str, float] = MappingProxyType(
    {
        "ReLU": 1.53,
        "GELU": 1.63,
        "SE-ReLU": 2.10,
        "SiLU": 2.54,
        "Dynamic Shift-Max": 57.04,
        "DynamicReLU-A": 273.49,
        "DynamicReLU-B": 242.14,
    }
)

# The two networks of Table 3 that Table 2 has too.
BLOCKS_MS: Mapping[str, float] = MappingProxyType(
    {"baseline": ACTIVATIONS_MS["ReLU"], "squeeze-excite": ACTIVATIONS_MS["SE-ReLU"]}
)

# Table 1: of latency with FLOPs and with the number of parameters, over published architectures.
CORRELATIONS: Mapping[tuple[str, str], Correlation] = MappingProxyType(
    {
        ("mobile", "FLOPs"): Correlation(0.47, 0.03),
        ("mobile", "parameters"): Correlation(0.30, 0.18),
        ("CPU", "FLOPs"): Correlation(0.06, 0.80),
        ("CPU", "parameters"): Correlation(0.07, 0.77),
    }
)

# Table 9: ImageNet top-1 accuracy (%), latency (ms) on a CPU (Xeon Gold 5118) and an iPhone 12.
TOP1: Mapping[str, float] = MappingProxyType(
    {
        "mobileone_s0": 71.4,
        "mobileone_s1": 75.9,
        "mobileone_s2": 77.4,
        "mobileone_s3": 78.1,
        "mobileone_s4": 79.4,
    }
)
# Table 12: top-1 accuracy (%) on ImageNet, A, R and Sketch, and the mean corruption error (%) on C.
ROBUSTNESS: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {
        name: dict(
            zip(
                ("clean", "imagenet-c", "imagenet-a", "imagenet-r", "imagenet-sketch"),
                values,
                strict=True,
            )
        )
        for name, values in {
            "mobileone_s0": (71.4, 86.4, 2.3, 32.9, 19.3),
            "mobileone_s1": (75.9, 80.4, 2.7, 36.7, 22.6),
            "mobileone_s2": (77.4, 73.6, 4.8, 40.0, 26.4),
            "mobileone_s3": (78.1, 71.6, 7.1, 42.1, 28.5),
            "mobileone_s4": (79.4, 68.1, 10.8, 41.8, 29.2),
        }.items()
    }
)
CPU_MS: Mapping[str, float] = MappingProxyType(
    {
        "mobileone_s0": 10.55,
        "mobileone_s1": 13.04,
        "mobileone_s2": 14.87,
        "mobileone_s3": 16.47,
        "mobileone_s4": 26.60,
    }
)
MOBILE_MS: Mapping[str, float] = MappingProxyType(
    {
        "mobileone_s0": 0.79,
        "mobileone_s1": 0.89,
        "mobileone_s2": 1.18,
        "mobileone_s3": 1.53,
        "mobileone_s4": 1.86,
    }
)
