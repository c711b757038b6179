"""open-mmlab/mmpretrain: backbone and head, or the backbone's own state dict without prefix."""

from __future__ import annotations

from mobileone.families.naming.apple import LOWEST
from mobileone.families.naming.cvnets import MOBILEVIT_LOWEST
from mobileone.families.naming.table import Layout, cross

MOBILEONE = Layout(
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
    lowest=LOWEST,
    optional_prefix="backbone.",
)

_BLOCKS = {"layer_{l}.{j}": "backbone.layers.{l-1}.{j}"}

MOBILEVIT = Layout(
    architecture="mobilevit",
    name="mmpretrain",
    templates=cross(
        {"conv_1": "backbone.stem", "conv_1x1_exp": "backbone.conv_1x1_exp"}
        | cross(
            _BLOCKS,
            {
                "block.exp_1x1": "conv.0",
                "block.conv_3x3": "conv.1",
                "block.red_1x1": "conv.2",
                "local_rep.conv_3x3": "local_rep.0",
                "conv_proj": "conv_proj",
                "fusion": "conv_fusion",
            },
        ),
        {"block.conv.{wb}": "conv.{wb}", "block.norm.{bn}": "bn.{bn}"},
    )
    | cross(
        _BLOCKS,
        {
            "local_rep.conv_1x1.block.conv.weight": "local_rep.1.conv.weight",
            "global_rep.{t}.pre_norm_mha.0.{wb}": "global_rep.{t}.ln1.{wb}",
            "global_rep.{t}.pre_norm_mha.1.qkv_proj.{wb}": "global_rep.{t}.attn.qkv.{wb}",
            "global_rep.{t}.pre_norm_mha.1.out_proj.{wb}": "global_rep.{t}.attn.proj.{wb}",
            "global_rep.{t}.pre_norm_ffn.0.{wb}": "global_rep.{t}.ln2.{wb}",
            "global_rep.{t}.pre_norm_ffn.1.{wb}": "global_rep.{t}.ffn.layers.0.0.{wb}",
            "global_rep.{t}.pre_norm_ffn.4.{wb}": "global_rep.{t}.ffn.layers.1.{wb}",
            "global_rep.{t}.{wb}": "global_rep.{t}.{wb}",
        },
    )
    | {"classifier.fc.{wb}": "head.fc.{wb}"},
    lowest=MOBILEVIT_LOWEST,
    optional_prefix="backbone.",
    channel_order="BGR",
)
