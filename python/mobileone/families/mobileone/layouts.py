"""Key layouts of MobileOne's public checkpoints. To add one, write its table and list it below.

The canonical names are those of apple/ml-mobileone.
"""

from __future__ import annotations

from mobileone.families.naming.table import Layout, cross

# Block prefixes: the stem, and block j of stage s = 1..4 (even j depthwise, odd j pointwise).
_BLOCKS = ("stage0", "stage{s}.{j}")

# What a block may hold, in either form.
_PARTS = (
    "rbr_conv.{n}.conv.weight",
    "rbr_conv.{n}.bn.{bn}",
    "rbr_scale.conv.weight",
    "rbr_scale.bn.{bn}",
    "rbr_skip.{bn}",
    "se.reduce.{wb}",
    "se.expand.{wb}",
    "reparam_conv.{wb}",
)
_LOWEST = {"s": 1}

# Also of yakhyo/mobileone-inference.
_APPLE = Layout(
    architecture="mobileone",
    name="apple",
    templates=cross({b: b for b in _BLOCKS}, {p: p for p in _PARTS})
    | {"linear.{wb}": "linear.{wb}"},
    lowest=_LOWEST,
)

_TIMM = Layout(
    architecture="mobileone",
    name="timm",
    templates=cross(
        {"stage0": "stem", "stage{s}.{j}": "stages.{s-1}.{j}"},
        {
            "rbr_conv.{n}.conv.weight": "conv_kxk.{n}.conv.weight",
            "rbr_conv.{n}.bn.{bn}": "conv_kxk.{n}.bn.{bn}",
            "rbr_scale.conv.weight": "conv_scale.conv.weight",
            "rbr_scale.bn.{bn}": "conv_scale.bn.{bn}",
            "rbr_skip.{bn}": "identity.{bn}",
            "se.reduce.{wb}": "attn.fc1.{wb}",
            "se.expand.{wb}": "attn.fc2.{wb}",
            "reparam_conv.{wb}": "reparam_conv.{wb}",
        },
    )
    | {"linear.{wb}": "head.fc.{wb}"},
    lowest=_LOWEST,
    respelled={"stages_": "stages."},  # features_only=True
)

# Backbone and head, or the backbone's own state dict without prefix.
_MMPRETRAIN = Layout(
    architecture="mobileone",
    name="mmpretrain",
    templates=cross(
        {"stage0": "backbone.stage0", "stage{s}.{j}": "backbone.stage{s}.{j}"},
        {
            "rbr_conv.{n}.conv.weight": "branch_conv_list.{n}.conv.weight",
            "rbr_conv.{n}.bn.{bn}": "branch_conv_list.{n}.norm.{bn}",
            "rbr_scale.conv.weight": "branch_scale.conv.weight",
            "rbr_scale.bn.{bn}": "branch_scale.norm.{bn}",
            "rbr_skip.{bn}": "branch_norm.{bn}",
            "se.reduce.{wb}": "se.conv1.conv.{wb}",
            "se.expand.{wb}": "se.conv2.conv.{wb}",
            "reparam_conv.{wb}": "branch_reparam.{wb}",
        },
    )
    | {"linear.{wb}": "head.fc.{wb}"},
    lowest=_LOWEST,
    optional_prefix="backbone.",
)

# Has an empty `layer_1`, so that stage s is `layer_{s+1}`.
_CVNETS = Layout(
    architecture="mobileone",
    name="cvnets",
    templates=cross(
        {"stage0": "conv_1", "stage{s}.{j}": "layer_{s+1}.{j}"},
        {
            "rbr_conv.{n}.conv.weight": "rbr_conv.{n}.block.conv.weight",
            "rbr_conv.{n}.bn.{bn}": "rbr_conv.{n}.block.norm.{bn}",
            "rbr_scale.conv.weight": "rbr_scale.block.conv.weight",
            "rbr_scale.bn.{bn}": "rbr_scale.block.norm.{bn}",
            "rbr_skip.{bn}": "rbr_skip.{bn}",
            "se.reduce.{wb}": "se.se_layer.fc1.block.conv.{wb}",
            "se.expand.{wb}": "se.se_layer.fc2.block.conv.{wb}",
            "reparam_conv.{wb}": "reparam_conv.{wb}",
        },
    )
    | {"linear.{wb}": "classifier.classifier_fc.{wb}"},
    lowest=_LOWEST,
)

# Apple's blocks under `p1` (the stem) to `p5`.
_JAHONGIR7174 = Layout(
    architecture="mobileone",
    name="jahongir7174",
    templates=cross(
        {"stage0": "p1", "stage{s}.{j}": "p{s+1}.{j}"},
        {
            "rbr_conv.{n}.conv.weight": "rbr_conv.{n}.conv.weight",
            "rbr_conv.{n}.bn.{bn}": "rbr_conv.{n}.bn.{bn}",
            "rbr_scale.conv.weight": "rbr_scale.conv.weight",
            "rbr_scale.bn.{bn}": "rbr_scale.bn.{bn}",
            "rbr_skip.{bn}": "rbr_skip.{bn}",
            "se.reduce.{wb}": "se.se.1.{wb}",
            "se.expand.{wb}": "se.se.3.{wb}",
            "reparam_conv.{wb}": "fused_conv.{wb}",
        },
    )
    | {"linear.{wb}": "fc.2.{wb}"},
    lowest=_LOWEST,
)

# birder-project/birder: apple's blocks, and torchvision's SE.
_BIRDER = Layout(
    architecture="mobileone",
    name="birder",
    templates=cross(
        {"stage0": "stem", "stage{s}.{j}": "body.stage{s}.{j}"},
        {p: p for p in _PARTS if not p.startswith("se.")}
        | {"se.reduce.{wb}": "se.fc1.{wb}", "se.expand.{wb}": "se.fc2.{wb}"},
    )
    | {"linear.{wb}": "classifier.{wb}"},
    lowest=_LOWEST,
)

# Of layouts that explain as many keys, the first one is taken.
LAYOUTS = (_APPLE, _TIMM, _MMPRETRAIN, _CVNETS, _JAHONGIR7174, _BIRDER)
