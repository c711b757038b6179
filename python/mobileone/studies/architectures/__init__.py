"""The networks of the paper's Table 9 that are not MobileOne's or MobileViT's, after their papers.

Graphs in inference form with seeded weights: latency does not depend on the weights.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType

import numpy as np

from mobileone._core import Graph, Network, initialize
from mobileone.families.imported import FAMILY, config_of
from mobileone.model import Model
from mobileone.studies.architectures.inverted import (
    efficientnet_b0,
    mixnet_s,
    mnasnet_a1,
    mobilenet_v1,
    mobilenet_v2,
    mobilenet_v3_large,
    mobilenet_v3_small,
)
from mobileone.studies.architectures.layers import SIZE
from mobileone.studies.architectures.mobile_former import mobile_former
from mobileone.studies.architectures.plain import mobilenext, repvgg, shufflenet_v2
from mobileone.studies.architectures.transformers import convit_tiny, deit_tiny, pit_tiny

__all__ = ["ARCHITECTURES", "architecture"]

# By the paper's names.
ARCHITECTURES: Mapping[str, Callable[[], Graph]] = MappingProxyType(
    {
        "MobileNetV1": mobilenet_v1,
        "MobileNetV2-x1.0": mobilenet_v2,
        "MobileNetV2-x1.4": partial(mobilenet_v2, 1.4),
        "MobileNetV3-S": mobilenet_v3_small,
        "MobileNetV3-L": mobilenet_v3_large,
        "MobileNetV3-S (ReLU)": partial(mobilenet_v3_small, "relu"),
        "MobileNetV3-L (ReLU)": partial(mobilenet_v3_large, "relu"),
        "EfficientNet-B0": efficientnet_b0,
        "MNASNet-A1": mnasnet_a1,
        "MixNet-S": mixnet_s,
        "ShuffleNetV2-1.0": partial(shufflenet_v2, 1),
        "ShuffleNetV2-2.0": partial(shufflenet_v2, 2),
        "MobileNeXt-x1.0": mobilenext,
        "MobileNeXt-x1.4": partial(mobilenext, 1.4),
        "RepVGG-A0": partial(repvgg, "A0"),
        "RepVGG-A1": partial(repvgg, "A1"),
        "RepVGG-A2": partial(repvgg, "A2"),
        "RepVGG-B0": partial(repvgg, "B0"),
        "RepVGG-B1": partial(repvgg, "B1"),
        "DeiT-tiny": deit_tiny,
        "PiT-ti": pit_tiny,
        "ConViT-tiny": convit_tiny,
        "Mobile-Former-52": partial(mobile_former, "52"),
        "Mobile-Former-96": partial(mobile_former, "96"),
    }
)


def architecture(name: str, seed: int = 0) -> Model:
    """One of `ARCHITECTURES` with seeded weights; ValueError for another name."""
    if name not in ARCHITECTURES:
        raise ValueError(f"name is {name!r}; expected one of {', '.join(ARCHITECTURES)}")
    graph = ARCHITECTURES[name]()
    weights = initialize(graph, seed).weights()
    # Zeros, which it makes of constants, would be divided by.
    constants = {key: np.full_like(w, 0.5) for key, w in weights.items() if key.endswith(".value")}
    network = Network(graph, {**weights, **constants})
    return Model(network, config_of(graph, (1, 3, SIZE, SIZE)), arch=FAMILY.name, name=name)
