"""The network of the paper's Tables 2 and 3: 30 layers that differ in one building block."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mobileone._core import Network, initialize
from mobileone.families.plain_cnn import FAMILY
from mobileone.model import Model

if TYPE_CHECKING:
    from mobileone.network.compiled import CompiledModel

__all__ = ["ACTIVATIONS", "PlainCnn", "plain_cnn"]

# The paper's name of each activation -> ours, in the order of its Table 2.
ACTIVATIONS = {
    "ReLU": "relu",
    "GELU": "gelu",
    "SE-ReLU": "se_relu",
    "SiLU": "silu",
    "Dynamic Shift-Max": "dynamic_shift_max",
    "DynamicReLU-A": "dynamic_relu_a",
    "DynamicReLU-B": "dynamic_relu_b",
}


class PlainCnn(Model):
    """A Model of `plain_cnn`. Compiled on the oneDNN steps alone unless asked otherwise.

    The fused kernels know ReLU only: a comparison with them would time the convolutions of one
    network against faster convolutions of another, not the activations.
    """

    def compile(
        self, input_shape: Sequence[int], *, backend: str = "onednn", **how: Any
    ) -> CompiledModel:
        """As `Model.compile`, with ``backend="onednn"`` by default."""
        return super().compile(input_shape, backend=backend, **how)

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (self.config, {n: w.copy() for n, w in self.network.weights().items()})


def plain_cnn(
    activation: str = "relu",
    *,
    squeeze_excite: bool = False,
    skip: bool = False,
    num_classes: int = 1000,
    reduction: int = 16,
    groups: int = 2,
    seed: int = 0,
    **widths: Any,
) -> PlainCnn:
    """The 30-layer network with seeded weights, in inference form.

    The paper says of its network that it has 30 layers and no more. This one is MobileNetV1 (Howard
    et al. 2017, Table 1) with a sixth pair of 512 channels: a dense 3x3 stem, 14 pairs of a
    depthwise 3x3 and a pointwise 1x1 convolution, and the classifier. Latency does not depend on
    the weights.

    Args:
        activation: after every convolution: "relu", "gelu" (with the error function), "silu",
            "se_relu" (squeeze-and-excitation, then ReLU), "dynamic_relu_a", "dynamic_relu_b" (Chen
            et al. 2020: coefficients shared by all channels, or one set per channel) or
            "dynamic_shift_max" (Li et al. 2021, with K = J = 2).
        squeeze_excite: squeeze-and-excitation before every activation.
        skip: an identity around every convolution that keeps the shape.
        num_classes: number of logits.
        reduction: the layers that compute gates and coefficients squeeze C channels to
            C / reduction; the same in all networks, so that they differ in nothing else.
        groups: of Dynamic Shift-Max: channels C / groups apart are combined.
        seed: of the weights.
        widths: `stem_width`, and `widths` and `strides` of the pairs, for another size.

    Raises:
        ValueError: an unknown activation, or a value that makes no network.
    """
    config = FAMILY.mark | {
        "activation": activation,
        "squeeze_excite": squeeze_excite,
        "skip": skip,
        "num_classes": num_classes,
        "in_channels": 3,
        "reduction": reduction,
        "groups": groups,
        **widths,
    }
    return PlainCnn(initialize(FAMILY.graph(config), seed), config, arch=FAMILY.name)


def _restore(config: dict[str, Any], weights: dict[str, Any]) -> PlainCnn:
    """From a pickle; those of 0.1.0 do not name the family."""
    config = FAMILY.mark | config
    return PlainCnn(Network(FAMILY.graph(config), weights), config, arch=FAMILY.name)
