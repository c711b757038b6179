"""huggingface/transformers: MobileViT with queries, keys and values apart.

Its layers 3 to 5 are one MobileNetV2 block and one MobileViT block each, whose numbers it leaves
out; networks with other layers have no names here.
"""

from __future__ import annotations

from mobileone.families.naming.cvnets import MOBILEVIT_LOWEST
from mobileone.families.naming.table import Layout, cross

_LAYER = "mobilevit.encoder.layer"
_RESIDUALS = {f"layer_{n}.{{j}}": f"{_LAYER}.{n - 1}.layer.{{j}}" for n in (1, 2)} | {
    f"layer_{n}.0": f"{_LAYER}.{n - 1}.downsampling_layer" for n in (3, 4, 5)
}
_BLOCKS = {f"layer_{n}.1": f"{_LAYER}.{n - 1}" for n in (3, 4, 5)}

MOBILEVIT = Layout(
    architecture="mobilevit",
    name="transformers",
    templates=cross(
        {"conv_1": "mobilevit.conv_stem", "conv_1x1_exp": "mobilevit.conv_1x1_exp"}
        | cross(
            _RESIDUALS,
            {
                "block.exp_1x1": "expand_1x1",
                "block.conv_3x3": "conv_3x3",
                "block.red_1x1": "reduce_1x1",
            },
        )
        | cross(
            _BLOCKS,
            {
                "local_rep.conv_3x3": "conv_kxk",
                "conv_proj": "conv_projection",
                "fusion": "fusion",
            },
        ),
        {"block.conv.{wb}": "convolution.{wb}", "block.norm.{bn}": "normalization.{bn}"},
    )
    | cross(
        _BLOCKS,
        {
            "local_rep.conv_1x1.block.conv.weight": "conv_1x1.convolution.weight",
            "global_rep.{t}.{wb}": "layernorm.{wb}",
        },
    )
    | cross(
        {
            f"{ours}.global_rep.{{t}}": f"{own}.transformer.layer.{{t}}"
            for ours, own in _BLOCKS.items()
        },
        {
            "pre_norm_mha.0.{wb}": "layernorm_before.{wb}",
            "pre_norm_mha.1.qkv_proj.{wb}[0]": "attention.attention.query.{wb}",
            "pre_norm_mha.1.qkv_proj.{wb}[1]": "attention.attention.key.{wb}",
            "pre_norm_mha.1.qkv_proj.{wb}[2]": "attention.attention.value.{wb}",
            "pre_norm_mha.1.out_proj.{wb}": "attention.output.dense.{wb}",
            "pre_norm_ffn.0.{wb}": "layernorm_after.{wb}",
            "pre_norm_ffn.1.{wb}": "intermediate.dense.{wb}",
            "pre_norm_ffn.4.{wb}": "output.dense.{wb}",
        },
    )
    | {"classifier.fc.{wb}": "classifier.{wb}"},
    lowest=MOBILEVIT_LOWEST,
    optional_prefix="mobilevit.",
    channel_order="BGR",
)
