"""The rules of docs/architecture.md on which folder of the C++ sources includes which."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

SOURCES = Path(__file__).resolve().parents[2] / "cpp"

# From top to bottom: a file includes from rows below its own and from its own folder, never from
# another one of its row. A folder that is not listed belongs to the listed one that it is in.
ROWS = (
    ("python",),
    ("engine",),
    ("backends/single_run",),
    ("reference", "backends/fused", "backends/loops", "backends/onednn", "backends/training"),
    ("rewrite", "plan", "train", "quantize"),
    ("models", "vision"),
    ("graph",),
    ("kernels", "base"),
)
RANK = {folder: rank for rank, row in enumerate(ROWS) for folder in row}

# Rows would allow these.
FORBIDDEN = {("plan", "kernels")}

# Headers of other projects, and the folders that include them.
THIRD_PARTY = {r"(oneapi/dnnl/)?dnnl\.h": {"backends/onednn"}, r"pybind11/|Python\.h": {"python"}}

# (file, included folder) that the rules forbid and that are still to go: this list only shrinks.
KNOWN: set[tuple[str, str]] = set()


class Include(NamedTuple):
    """A file below cpp/, its folder, and what it includes: ours as path below cpp/mobileone."""

    file: str
    folder: str
    target: str
    ours: bool


def folder_of(path: str) -> str:
    """The longest listed folder that a file below cpp/mobileone is in."""
    parts = path.split("/")[:-1]
    if not parts:
        return "engine"
    for length in range(len(parts), 0, -1):
        name = "/".join(parts[:length])
        if name in RANK:
            return name
    raise AssertionError(f"cpp/mobileone/{path} is in no folder of ROWS")


def includes() -> Iterator[Include]:
    for path in sorted(SOURCES.rglob("*.[ch]pp")):
        file = path.relative_to(SOURCES).as_posix()
        bindings = not file.startswith("mobileone/")
        folder = "python" if bindings else folder_of(file.removeprefix("mobileone/"))
        text = path.read_text(encoding="utf-8")
        for target in re.findall(r'^ *# *include *[<"]([^>"]+)[>"]', text, re.MULTILINE):
            ours = target.startswith("mobileone/")
            yield Include(file, folder, target.removeprefix("mobileone/"), ours)


def is_allowed(include: Include) -> bool:
    below = folder_of(include.target)
    if (include.folder, below) in FORBIDDEN:
        return False
    return include.folder == below or RANK[include.folder] < RANK[below]


def test_every_file_includes_from_folders_below_its_own() -> None:
    wrong = {
        (include.file, folder_of(include.target))
        for include in includes()
        if include.ours and not is_allowed(include)
    }
    assert wrong - KNOWN == set()
    assert KNOWN - wrong == set(), "KNOWN lists what is mended"


def test_other_projects_are_included_in_their_folders_only() -> None:
    for pattern, folders in THIRD_PARTY.items():
        found = {include for include in includes() if re.match(pattern, include.target)}
        assert found, pattern
        assert not [i.file for i in found if i.folder not in folders], pattern
