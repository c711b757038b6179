"""The one exception of this package, and how its messages are worded."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

Shape = tuple[int, ...]

MAX_LISTED = 5
_MAX_NAME = 120


class CheckpointError(ValueError):
    """A file or state dict that cannot be used as a checkpoint.

    The message names the source, what was found in it and what was expected.
    """


class Mismatch(NamedTuple):
    """One tensor name whose shape differs between what was found and what was expected.

    ``None`` stands for "no such tensor": a missing one in ``found``, an extra one in ``expected``.
    """

    name: str
    found: Shape | None
    expected: Shape | None

    def __str__(self) -> str:
        found = "missing" if self.found is None else f"found {self.found}"
        expected = "no such tensor" if self.expected is None else str(self.expected)
        return f"{shown(self.name)}: {found}, expected {expected}"


def shown(name: object) -> str:
    """A name from an untrusted file, safe to print: escaped, and cut when it is very long."""
    text = name if isinstance(name, str) else repr(name) if isinstance(name, int) else "?"
    text = text.encode("unicode_escape", "backslashreplace").decode("ascii")
    return text if len(text) <= _MAX_NAME else text[:_MAX_NAME] + "…"


def shown_value(value: object) -> str:
    """An atom or a flat list of atoms from an untrusted file; of anything deeper only its type."""
    atoms = value if isinstance(value, list) else [value]
    if all(isinstance(atom, (str, int, float, type(None))) for atom in atoms):
        return shown(repr(value))
    return f"a {type(value).__name__}"


def listed(items: Iterable[object]) -> str:
    """The first five items, and how many more there are."""
    everything = list(items)
    head = "; ".join(str(item) for item in everything[:MAX_LISTED])
    more = len(everything) - MAX_LISTED
    return f"{head}; and {more} more" if more > 0 else head


def mismatch_error(
    source: str, nearest: str, mismatches: list[Mismatch], problem: str = ""
) -> CheckpointError:
    """The error for a state dict that does not fit.

    Args:
        source: file name or a description of the object.
        nearest: the layout and variant it comes closest to, e.g. ``"timm mobileone_s1, fused"``.
        mismatches: every tensor that differs; the message shows the first five.
        problem: the reason, where there is one beyond the tensors.
    """
    missing = sum(m.found is None for m in mismatches)
    extra = sum(m.expected is None for m in mismatches)
    counts = [
        f"{number} {word}"
        for number, word in (
            (missing, "missing"),
            (extra, "unexpected"),
            (len(mismatches) - missing - extra, "of another shape"),
        )
        if number
    ]
    reasons = [problem] if problem else []
    if counts:
        reasons.append(f"{' and '.join(counts)}: {listed(mismatches)}")
    return CheckpointError(f"{source}: nearest is {nearest}, but {'; '.join(reasons)}")


def unrecognised_error(source: str, keys: Iterable[str], reason: str) -> CheckpointError:
    """The error for keys that no layout explains."""
    return CheckpointError(
        f"{source}: {reason}. Not understood: {listed(shown(key) for key in keys)}"
    )
