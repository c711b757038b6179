"""Key layouts of MobileViT's public checkpoints. To add one, write its table and list it below.

The canonical names are those of apple/ml-cvnets.
"""

from __future__ import annotations

from mobileone.families.naming.table import Layout, cross

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
_LOWEST = {"l": 1}

_CVNETS = Layout(
    architecture="mobilevit",
    name="cvnets",
    templates=cross(
        {u: u for u in _UNITS} | cross(_BLOCKS, {u: u for u in _BLOCK_UNITS}),
        {p: p for p in _UNIT_PARTS},
    )
    | cross(_BLOCKS, {p: p for p in _BLOCK_PARTS})
    | {"classifier.fc.{wb}": "classifier.fc.{wb}"},
    lowest=_LOWEST,
    channel_order="BGR",
)

_TIMM_BLOCKS = {"layer_{l}.{j}": "stages.{l-1}.{j}"}
_TIMM = Layout(
    architecture="mobilevit",
    name="timm",
    templates=cross(
        {"conv_1": "stem", "conv_1x1_exp": "final_conv"}
        | cross(
            _TIMM_BLOCKS,
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
        _TIMM_BLOCKS,
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
    lowest=_LOWEST,
    respelled={"stages_": "stages."},  # features_only=True
    channel_order="RGB",
)

_MMPRETRAIN_BLOCKS = {"layer_{l}.{j}": "backbone.layers.{l-1}.{j}"}
_MMPRETRAIN = Layout(
    architecture="mobilevit",
    name="mmpretrain",
    templates=cross(
        {"conv_1": "backbone.stem", "conv_1x1_exp": "backbone.conv_1x1_exp"}
        | cross(
            _MMPRETRAIN_BLOCKS,
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
        _MMPRETRAIN_BLOCKS,
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
    lowest=_LOWEST,
    optional_prefix="backbone.",
    channel_order="BGR",
)

# Queries, keys and values are apart. Layers 3 to 5 are one MobileNetV2 block and one MobileViT
# block each, whose numbers it leaves out; networks with other layers have no names here.
_LAYER = "mobilevit.encoder.layer"
_TRANSFORMERS_RESIDUALS = {f"layer_{n}.{{j}}": f"{_LAYER}.{n - 1}.layer.{{j}}" for n in (1, 2)} | {
    f"layer_{n}.0": f"{_LAYER}.{n - 1}.downsampling_layer" for n in (3, 4, 5)
}
_TRANSFORMERS_BLOCKS = {f"layer_{n}.1": f"{_LAYER}.{n - 1}" for n in (3, 4, 5)}

_TRANSFORMERS = Layout(
    architecture="mobilevit",
    name="transformers",
    templates=cross(
        {"conv_1": "mobilevit.conv_stem", "conv_1x1_exp": "mobilevit.conv_1x1_exp"}
        | cross(
            _TRANSFORMERS_RESIDUALS,
            {
                "block.exp_1x1": "expand_1x1",
                "block.conv_3x3": "conv_3x3",
                "block.red_1x1": "reduce_1x1",
            },
        )
        | cross(
            _TRANSFORMERS_BLOCKS,
            {
                "local_rep.conv_3x3": "conv_kxk",
                "conv_proj": "conv_projection",
                "fusion": "fusion",
            },
        ),
        {"block.conv.{wb}": "convolution.{wb}", "block.norm.{bn}": "normalization.{bn}"},
    )
    | cross(
        _TRANSFORMERS_BLOCKS,
        {
            "local_rep.conv_1x1.block.conv.weight": "conv_1x1.convolution.weight",
            "global_rep.{t}.{wb}": "layernorm.{wb}",
        },
    )
    | cross(
        {
            f"{ours}.global_rep.{{t}}": f"{own}.transformer.layer.{{t}}"
            for ours, own in _TRANSFORMERS_BLOCKS.items()
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
    lowest=_LOWEST,
    optional_prefix="mobilevit.",
    channel_order="BGR",
)

# Of layouts that explain as many keys, the first one is taken.
LAYOUTS = (_CVNETS, _TIMM, _MMPRETRAIN, _TRANSFORMERS)
