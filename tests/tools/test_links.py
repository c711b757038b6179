"""`.ci/links.py` finds every link of the documentation site that leads nowhere."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / ".ci" / "links.py"
pytestmark = pytest.mark.skipif(not SCRIPT.exists(), reason="an sdist has no .ci")


def check(folder: Path) -> tuple[int, list[str]]:
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(folder)], capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout.splitlines()


def test_links_that_lead_somewhere(tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "b.html").write_text('<a name="old"></a><a href="../a.html">a</a>')
    (tmp_path / "a b.css").write_text("")
    (tmp_path / "a.html").write_text(
        '<h1 id="top"><link rel="stylesheet" href="a%20b.css?v=1"><a href="#top"></a>'
        '<a href="more/b.html#old"></a><a href="https://example.org/x#y"></a><img src="data:,">'
    )
    assert check(tmp_path) == (0, ["6 links, 0 broken"])


def test_links_that_lead_nowhere(tmp_path: Path) -> None:
    (tmp_path / "b.html").write_text("")
    (tmp_path / "a.html").write_text(
        '<a href="#gone"></a><a href="b.html#gone"></a><a href="c.html"></a><a href="."></a>'
        '<script src="https://example.org/x.js"></script>'
        '<link rel="stylesheet" href="//example.org/x.css">'
    )
    assert check(tmp_path) == (
        1,
        [
            "a.html: #gone has no such anchor",
            "a.html: b.html#gone has no such anchor",
            "a.html: c.html does not exist",
            "a.html: . does not exist",
            "a.html: https://example.org/x.js is fetched from elsewhere",
            "a.html: //example.org/x.css is fetched from elsewhere",
            "6 links, 6 broken",
        ],
    )


def test_a_folder_without_pages_is_no_site(tmp_path: Path) -> None:
    assert check(tmp_path) == (1, ["0 links, 0 broken"])
