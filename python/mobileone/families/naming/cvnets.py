"""apple/ml-cvnets. Its MobileViT has the canonical names.

Its MobileOne has an empty `layer_1`, so that stage s is `layer_{s+1}`.
"""

from __future__ import annotations

from mobileone.families.naming.apple import LOWEST
from mobileone.families.naming.table import Layout, cross

MOBILEONE = Layout(
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
    lowest=LOWEST,
)

# MobileViT's convolutions with a batch norm, outside of blocks and in block j of layer l.
_UNITS = ("conv_1", "conv_1x1_exp")
_BLOCK_UNITS = (
    "block.exp_1x1",
    "block.conv_3x3",
    "block.red_1x1",
    "local_rep.conv_3x3",
    "conv_proj",
    "fusion",
)
# A fused convolution has a bias and no norm.
_UNIT_PARTS = ("block.conv.{wb}", "block.norm.{bn}")
# The rest of a MobileViT block. Numbers go on after its transformers, with the last norm.
_BLOCK_PARTS = (
    "local_rep.conv_1x1.block.conv.weight",
    "global_rep.{t}.pre_norm_mha.0.{wb}",
    "global_rep.{t}.pre_norm_mha.1.qkv_proj.{wb}",
    "global_rep.{t}.pre_norm_mha.1.out_proj.{wb}",
    "global_rep.{t}.pre_norm_ffn.0.{wb}",
    "global_rep.{t}.pre_norm_ffn.1.{wb}",
    "global_rep.{t}.pre_norm_ffn.4.{wb}",
    "global_rep.{t}.{wb}",
)
_BLOCKS = {"layer_{l}.{j}": "layer_{l}.{j}"}
MOBILEVIT_LOWEST = {"l": 1}

MOBILEVIT = Layout(
    architecture="mobilevit",
    name="cvnets",
    templates=cross(
        {u: u for u in _UNITS} | cross(_BLOCKS, {u: u for u in _BLOCK_UNITS}),
        {p: p for p in _UNIT_PARTS},
    )
    | cross(_BLOCKS, {p: p for p in _BLOCK_PARTS})
    | {"classifier.fc.{wb}": "classifier.fc.{wb}"},
    lowest=MOBILEVIT_LOWEST,
    channel_order="BGR",
)
