"""Networks as they are exported: nothing is left that their authors' own code merges."""

from __future__ import annotations

from pathlib import Path

import pytest

from .families import fuse_family
from .graphs import kinds, parameters

# What takes a second; `families` has the others, which are run by hand.
QUICK = ["dbb", "acnet", "unireplknet", "repconv", "qarepvgg", "mobileone block", "ecbsr", "repvit"]


@pytest.mark.parametrize("name", QUICK)
def test_a_family(name: str, tmp_path: Path) -> None:
    outcome = fuse_family(name, tmp_path, small=True)
    assert outcome.fusion, repr(outcome.fusion)
    assert outcome.fusion.regions
    assert "ONNX Runtime" in outcome.fusion.runtime
    assert parameters(outcome.fused) <= parameters(outcome.authors)
    assert parameters(outcome.fused) == parameters(outcome.both)
    assert kinds(outcome.fused).get("Conv", 0) <= kinds(outcome.authors)["Conv"]
    assert "BatchNormalization" not in kinds(outcome.fused)
    if name != "repvit":  # which has residuals around activations
        assert kinds(outcome.fused).get("Add", 0) == 0
