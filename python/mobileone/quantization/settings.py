"""How a network is quantized: the arguments of `mobileone.quantize`, checked."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from mobileone.quantization.observers import check_observer
from mobileone.util.checks import at_least

__all__ = ["CURES", "Settings"]

# The arguments that are cures.
CURES = (
    "depthwise_ranges",
    "equalization",
    "weight_clipping",
    "stage_supervision",
    "bias_correction",
)


@dataclass(frozen=True)
class Settings:
    """See `mobileone.quantize`."""

    observer: str = "squared_error"
    headroom: float = 0.15
    depthwise_ranges: bool = True
    equalization: bool = True
    weight_clipping: bool = True
    stage_supervision: bool = True
    bias_correction: bool = True
    float_budget: float = 0.0
    keep_float: tuple[str, ...] = ()
    linear_layers: bool = True
    images: int = 128

    def check(self) -> Settings:
        """It, or a ValueError that names the argument."""
        check_observer(self.observer)
        at_least("images", self.images, 1)
        if not (math.isfinite(self.headroom) and 0.0 <= self.headroom <= 1.0):
            raise ValueError(f"headroom is {self.headroom!r}; expected a share, 0 to 1")
        if not (math.isfinite(self.float_budget) and 0.0 <= self.float_budget <= 1.0):
            raise ValueError(
                f"float_budget is {self.float_budget!r}; expected a share of the multiply-adds, "
                "0 to 1"
            )
        return self

    def without(self, cure: str) -> Settings:
        """The same with a cure off."""
        return replace(self, **{cure: False})  # type: ignore[arg-type]
