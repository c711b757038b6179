"""huggingface/pytorch-image-models (timm)."""

from __future__ import annotations

from mobileone.families.naming.apple import LOWEST
from mobileone.families.naming.cvnets import MOBILEVIT_LOWEST
from mobileone.families.naming.table import Layout, cross

MOBILEONE = Layout(
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
    lowest=LOWEST,
)

_BLOCKS = {"layer_{l}.{j}": "stages.{l-1}.{j}"}

MOBILEVIT = Layout(
    architecture="mobilevit",
    name="timm",
    templates=cross(
        {"conv_1": "stem", "conv_1x1_exp": "final_conv"}
        | cross(
            _BLOCKS,
            {
                "block.exp_1x1": "conv1_1x1",
                "block.conv_3x3": "conv2_kxk",
                "block.red_1x1": "conv3_1x1",
                "local_rep.conv_3x3": "conv_kxk",
                "conv_proj": "conv_proj",
                "fusion": "conv_fusion",
            },
        ),
        {"block.conv.{wb}": "conv.{wb}", "block.norm.{bn}": "bn.{bn}"},
    )
    | cross(
        _BLOCKS,
        {
            "local_rep.conv_1x1.block.conv.weight": "conv_1x1.weight",
            "global_rep.{t}.pre_norm_mha.0.{wb}": "transformer.{t}.norm1.{wb}",
            "global_rep.{t}.pre_norm_mha.1.qkv_proj.{wb}": "transformer.{t}.attn.qkv.{wb}",
            "global_rep.{t}.pre_norm_mha.1.out_proj.{wb}": "transformer.{t}.attn.proj.{wb}",
            "global_rep.{t}.pre_norm_ffn.0.{wb}": "transformer.{t}.norm2.{wb}",
            "global_rep.{t}.pre_norm_ffn.1.{wb}": "transformer.{t}.mlp.fc1.{wb}",
            "global_rep.{t}.pre_norm_ffn.4.{wb}": "transformer.{t}.mlp.fc2.{wb}",
            "global_rep.{t}.{wb}": "norm.{wb}",
        },
    )
    | {"classifier.fc.{wb}": "head.fc.{wb}"},
    lowest=MOBILEVIT_LOWEST,
    channel_order="RGB",
)
