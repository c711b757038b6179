"""apple/ml-cvnets: its `layer_1` is empty, so that stage s is `layer_{s+1}`."""

from __future__ import annotations

from .apple import LOWEST
from .table import Layout, cross

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
