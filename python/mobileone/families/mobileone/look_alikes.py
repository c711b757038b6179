"""Networks whose files look like MobileOne's but compute something else. Refused."""

from __future__ import annotations

# A key that only this network has, what it is, and how it differs from MobileOne.
LOOK_ALIKES = (
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
