"""open-mmlab/mmpretrain: backbone and head, or the backbone's own state dict without prefix."""

from __future__ import annotations

from .apple import LOWEST
from .table import Layout, cross

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
