"""huggingface/pytorch-image-models (timm)."""

from __future__ import annotations

from .apple import LOWEST
from .table import Layout, cross

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
