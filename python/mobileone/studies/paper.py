"""Numbers of the MobileOne paper: Vasu et al., arXiv:2206.04040, CVPR 2023, with its supplement."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

__all__ = ["ACTIVATIONS_MS", "BLOCKS_MS", "CORRELATIONS", "CPU_MS", "FIGURE2", "MOBILE_MS"]
__all__ += ["ROBUSTNESS", "TABLE9", "TOP1", "Published"]


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

# Table 3: the same network with another block.
BLOCKS_MS: Mapping[str, float] = MappingProxyType(
    {"baseline": 1.53, "squeeze-excite": 2.10, "skip connections": 2.62}
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


class Published(NamedTuple):
    """A row of Table 9: top-1 accuracy (%) on ImageNet, multiply-adds and parameters in millions,
    latencies (ms) on a CPU (Xeon Gold 5118), a GPU (RTX 2080 Ti) and an iPhone 12."""

    top1: float
    macs: float
    params: float
    cpu_ms: float
    gpu_ms: float | None
    mobile_ms: float


TABLE9: Mapping[str, Published] = MappingProxyType(
    {
        "Mobile-Former-96": Published(72.8, 96, 4.6, 37.36, None, 16.95),
        "ConViT-tiny": Published(73.1, 1000, 5.7, 28.95, None, 10.99),
        "MobileViT-S": Published(78.4, 1792, 5.6, 30.76, None, 9.21),
        "Mobile-Former-52": Published(68.7, 52, 3.6, 29.23, None, 9.02),
        "PiT-ti": Published(71.3, 710, 4.9, 16.37, 1.97, 8.81),
        "MobileViT-XS": Published(74.8, 941, 2.3, 27.21, None, 6.97),
        "DeiT-tiny": Published(72.2, 1300, 5.9, 16.68, 1.78, 4.78),
        "MobileViT-XXS": Published(69.0, 373, 1.3, 23.03, None, 4.70),
        "RepVGG-B1": Published(78.4, 11800, 51.8, 193.7, 3.17, 3.73),
        "RepVGG-A2": Published(76.5, 5100, 25.5, 93.43, 2.41, 2.41),
        "MobileOne-S4": Published(79.4, 2978, 14.8, 26.60, 0.95, 1.86),
        "RepVGG-B0": Published(75.1, 3100, 14.3, 55.97, 1.45, 1.82),
        "EfficientNet-B0": Published(77.1, 390, 5.3, 28.71, 1.35, 1.72),
        "RepVGG-A1": Published(74.5, 2400, 12.8, 47.15, 1.42, 1.68),
        "MobileOne-S3": Published(78.1, 1896, 10.1, 16.47, 0.76, 1.53),
        "MobileNetV2-x1.4": Published(74.7, 585, 6.9, 15.67, 0.80, 1.36),
        "RepVGG-A0": Published(72.4, 1400, 8.3, 43.61, 1.23, 1.28),
        "MobileNeXt-x1.4": Published(76.1, 590, 6.1, 18.06, 1.04, 1.27),
        "MobileOne-S2": Published(77.4, 1299, 7.8, 14.87, 0.72, 1.18),
        "MixNet-S": Published(75.8, 256, 4.1, 40.09, 2.41, 1.13),
        "MobileNetV3-L": Published(75.2, 219, 5.4, 17.09, 3.8, 1.09),
        "ShuffleNetV2-2.0": Published(74.9, 591, 7.4, 20.85, 4.76, 1.08),
        "MNASNet-A1": Published(75.2, 312, 3.9, 24.06, 0.95, 1.00),
        "MobileNetV2-x1.0": Published(72.0, 300, 3.4, 13.65, 0.69, 0.98),
        "MobileNetV1": Published(70.6, 575, 4.2, 10.65, 0.58, 0.95),
        "MobileNeXt-x1.0": Published(74.0, 311, 3.4, 16.04, 1.02, 0.92),
        "MobileOne-S1": Published(75.9, 825, 4.8, 13.04, 0.66, 0.89),
        "MobileNetV3-S": Published(67.4, 56, 2.5, 10.38, 3.74, 0.83),
        "ShuffleNetV2-1.0": Published(69.4, 146, 2.3, 16.60, 4.58, 0.68),
        "MobileOne-S0": Published(71.4, 275, 2.1, 10.55, 0.56, 0.79),
    }
)
# Of those the twelve of Figure 2, over which Table 1 correlates.
FIGURE2 = (
    "MobileNetV1", "EfficientNet-B0", "ShuffleNetV2-2.0", "ShuffleNetV2-1.0", "MobileNeXt-x1.4",
    "MobileNetV2-x1.0", "MobileNetV3-S", "MobileNetV3-L", "MixNet-S", "MNASNet-A1",
    "MobileOne-S1", "MobileOne-S0",
)  # fmt: skip

# The same of this package's variants, by their names. The paper has no such rows of mu0 to mu2.
_VARIANTS = {f"mobileone_s{i}": TABLE9[f"MobileOne-S{i}"] for i in range(5)}
TOP1: Mapping[str, float] = MappingProxyType({k: row.top1 for k, row in _VARIANTS.items()})
CPU_MS: Mapping[str, float] = MappingProxyType({k: row.cpu_ms for k, row in _VARIANTS.items()})
MOBILE_MS: Mapping[str, float] = MappingProxyType(
    {k: row.mobile_ms for k, row in _VARIANTS.items()}
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
