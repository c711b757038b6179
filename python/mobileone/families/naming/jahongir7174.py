"""jahongir7174/MobileOne: apple's blocks under `p1` (the stem) to `p5`."""

from __future__ import annotations

from mobileone.families.naming.apple import LOWEST
from mobileone.families.naming.table import Layout, cross

MOBILEONE = Layout(
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
    lowest=LOWEST,
)
