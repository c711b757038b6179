"""The reference of the documentation site leaves no public name out; `.ci/site` builds it."""

from __future__ import annotations

import re
from pathlib import Path

import mobileone

DOCS = Path(__file__).resolve().parents[2] / "docs"


def test_every_public_name_is_in_the_reference() -> None:
    text = (DOCS / "api.md").read_text(encoding="utf-8")
    found = re.findall(r"^\.\. auto(?:class|function|exception):: (\w+)(?:\(\))?$", text, re.M)
    assert sorted(found) == sorted(set(mobileone.__all__) - {"__version__"})
