"""apple/ml-mobileone: the canonical names. Also yakhyo/mobileone-inference."""

from __future__ import annotations

from mobileone.families.naming.table import Layout, cross

# Block prefixes: the stem, and block j of stage s = 1..4 (even j depthwise, odd j pointwise).
BLOCKS = ("stage0", "stage{s}.{j}")

# What a block may hold, in either form.
PARTS = (
    "rbr_conv.{n}.conv.weight",
    "rbr_conv.{n}.bn.{bn}",
    "rbr_scale.conv.weight",
    "rbr_scale.bn.{bn}",
    "rbr_skip.{bn}",
    "se.reduce.{wb}",
    "se.expand.{wb}",
    "reparam_conv.{wb}",
)
LOWEST = {"s": 1}

MOBILEONE = Layout(
    architecture="mobileone",
    name="apple",
    templates=cross({b: b for b in BLOCKS}, {p: p for p in PARTS}) | {"linear.{wb}": "linear.{wb}"},
    lowest=LOWEST,
)
