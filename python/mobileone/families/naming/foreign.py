"""Networks whose files look like those of this package's but compute something else. Refused."""

from __future__ import annotations

import re
from collections.abc import Iterable

_SEPARABLE = "its attention is separable, and its blocks have no fusion"

# A key that only this network has, what it is, and how it differs from the one it looks like.
_FOREIGN = (
    (
        r"(stages\.\d+\.\d+|stem)\.conv_1x1\.(conv|bn)\.\w+",
        "a RepVGG of timm",
        "its blocks have one 3x3 branch and no depthwise convolutions",
    ),
    (
        r"stage\d+(\.\d+)?\.rbr_(dense|1x1|identity|reparam)\..+",
        "a RepVGG",
        "its blocks have one 3x3 branch and no depthwise convolutions",
    ),
    (
        r"block\d+\.(\d+\.)?block_(3x3|1x1)\..+",
        "the port tersekmatija/mobileone",
        "its stem is a depthwise pair and its last stage has stride 2",
    ),
    (
        r"stage\d+\.(\d+\.)*(dw_3x3_\d+|dw_1x1|dw_bn_layer|pw_1x1_\d+|pw_bn_layer|(dw|pw)_reparam)\..+",
        "the port shoutOutYangJie/MobileOne",
        "its stem has no branches and its skip branches are placed otherwise",
    ),
    (
        r"_features\._stage\d+\..+",
        "the port federicopozzi33/MobileOne-PyTorch",
        "its stem is a depthwise pair",
    ),
)
_FOREIGN_MOBILEVIT = (
    (r"stages\.\d+\.\d+\.transformer\.\d+\.attn\.qkv_proj\.\w+", "timm"),
    (r"layer_\d+\.\d+\.global_rep\.\d+\.pre_norm_attn\..+", "CVNets"),
    (r"mobilevitv2\..+", "transformers"),
)


def foreign_network(keys: Iterable[str]) -> str | None:
    """Names the look-alike network that the keys belong to, and the difference; else None."""
    keys = [key for key in keys if len(key) < 200]
    for pattern, name, difference in _FOREIGN:
        if any(re.fullmatch(pattern, key) for key in keys):
            return f"{name}, which is not the same network as MobileOne: {difference}"
    for pattern, publisher in _FOREIGN_MOBILEVIT:
        if any(re.fullmatch(pattern, key) for key in keys):
            name = f"a MobileViTv2 of {publisher}"
            return f"{name}, which is not the same network as MobileViT: {_SEPARABLE}"
    return None
