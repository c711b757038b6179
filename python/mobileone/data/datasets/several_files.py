"""Paths that stand for several files: folders, globs, numbered names."""

from __future__ import annotations

import os
from collections.abc import Iterator
from glob import glob, has_magic

__all__ = ["files_of"]


def files_of(pattern: str, suffixes: tuple[str, ...]) -> list[str]:
    """The files with one of those endings that a path stands for, sorted; none if it has another.

    Args:
        pattern: a file; a folder, for the files directly in it; a glob; or a name with a range of
            numbers, "part-{0000..0012}.tar".
        suffixes: in lower case.
    """
    if os.path.isdir(pattern):
        with os.scandir(pattern) as entries:
            paths = [entry.path for entry in entries if entry.is_file()]
    else:
        several = [(one, has_magic(one)) for one in _expanded(pattern)]
        paths = [path for one, magic in several for path in (glob(one) if magic else [one])]
    return sorted(path for path in paths if path.lower().endswith(suffixes))


def _expanded(pattern: str) -> Iterator[str]:
    """With {0000..0012} replaced by every number, with as many digits."""
    before, brace, rest = pattern.partition("{")
    inside, end, after = rest.partition("}")
    first, dots, last = inside.partition("..")
    if not (brace and end and dots and first.isdigit() and last.isdigit()):
        yield pattern
        return
    for number in range(int(first), int(last) + 1):
        yield from _expanded(f"{before}{number:0{len(first)}}{after}")
