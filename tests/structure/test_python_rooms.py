"""The rules of docs/architecture.md on who imports whom, and on what stands at the top."""

from __future__ import annotations

import graphlib
import subprocess
import sys

import pytest

from .rooms import PACKAGE, RANK, THIRD_PARTY, WHOLLY_OF, Import, imports, modules, room, strings

# Rooms and modules; and what only says something about them to type checkers or to `python -m`.
MOST_ENTRIES = 17
MARKERS = {"_core.pyi", "py.typed", "__main__.py"}


def is_allowed(edge: Import) -> bool:
    above, below = room(edge.source), room(edge.target)
    return above == below or RANK[above] < RANK[below]


def test_every_module_imports_from_rooms_below_its_own() -> None:
    wrong = [str(edge) for edge in imports() if edge.ours and not is_allowed(edge)]
    assert not wrong


def test_no_circle() -> None:
    """Not even inside a room, nor of imports inside functions or for type checkers."""
    edges: dict[str, set[str]] = {name: set() for name in modules()}
    for edge in imports():
        if edge.ours:
            edges[edge.source].add(edge.target)
    graphlib.TopologicalSorter(edges).prepare()  # CycleError names the modules of a circle


def test_optional_packages_stay_inside_functions_of_their_rooms() -> None:
    standard = {*sys.stdlib_module_names, "numpy"}
    wrong = [
        str(edge)
        for edge in imports()
        if not edge.ours
        and not edge.typing
        and edge.target not in standard
        and WHOLLY_OF.get(room(edge.source)) != edge.target
        and (edge.at_import or room(edge.source) not in THIRD_PARTY.get(edge.target, set()))
    ]
    assert not wrong


def test_the_package_itself_holds_names_only() -> None:
    ran = [
        edge for edge in imports() if edge.source == "__init__" and edge.ours and not edge.typing
    ]
    assert [edge.target for edge in ran if edge.at_import] == []


def test_the_extension_is_imported_directly() -> None:
    """`from mobileone import _core` would go through the package, which is on top."""
    for name, path in modules().items():
        if name != "__init__":
            assert "from mobileone import _core" not in path.read_text(encoding="utf-8"), name


def test_only_the_records_of_families_name_families() -> None:
    """A family that everybody knows by name is a family that nobody can add."""
    published = {path.parent.name for path in (PACKAGE / "families").glob("*/layouts.py")}
    others = published - {"mobileone"}  # which is the package's name too
    assert others
    for name, path in modules().items():
        # A publication's table has rows of its own names.
        if room(name) != "families" and name != "studies.paper":
            texts = strings(path)
            named = [text for text in texts for family in others if family in text.lower()]
            assert not named, name
    for edge in imports():
        family = edge.target.startswith(tuple(f"families.{family}" for family in published))
        assert not (edge.ours and family and room(edge.source) != "families"), str(edge)


def test_the_top_level_can_be_taken_in_at_a_glance() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "."], cwd=PACKAGE, capture_output=True, text=True, check=False
    )
    if listed.returncode:
        pytest.skip("no repository")
    entries = {line.partition("/")[0] for line in listed.stdout.splitlines()} - MARKERS
    assert len(entries) <= MOST_ENTRIES, sorted(entries)
    assert {
        room.partition(".")[0] for room in RANK if room not in ("__init__", "__main__", "_core")
    } <= {entry.removesuffix(".py") for entry in entries}
