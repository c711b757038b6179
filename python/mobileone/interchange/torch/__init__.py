"""PyTorch: train-time blocks that do not pay for their branches (`mobileone.torch`).

>>> import mobileone.torch
>>> mobileone.torch.accelerate(model)  # timm's or the authors' MobileOne, RepVGG, ...; in place
"""

from mobileone.interchange.torch.accelerate import accelerate

__all__ = ["accelerate"]
