"""A model's network as a PyTorch module in float64, from the tests' own definition."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch_mobileone import Config, MobileOne

if TYPE_CHECKING:
    from mobileone.network.bundle import Bundle


def torch_module(bundle: Bundle) -> MobileOne:
    """In train mode, with the bundle's weights."""
    config = bundle.config
    module = MobileOne(
        Config(
            config["stem_width"],
            tuple(config["widths"]),
            tuple(config["depths"]),
            config["num_conv_branches"],
            dict(config["se_widths"]),
            config["num_classes"],
            config["in_channels"],
        )
    )
    weights = bundle.network.weights()
    module.load_state_dict({name: torch.from_numpy(np.array(w)) for name, w in weights.items()})
    return module.double().train()
