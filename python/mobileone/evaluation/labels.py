"""From the labels of data to class indices of a network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from mobileone.data.datasets.shards import Label
from mobileone.tasks.classification.synsets import is_synset, synset_indices
from mobileone.util.checks import at_least
from mobileone.util.errors import listed

__all__ = ["Classes", "resolve_classes"]


@dataclass(frozen=True)
class Classes:
    """Which index a label stands for. Pickles.

    Attributes:
        count: of the network; None if nobody knows.
        how: the rule, in words.
        index_of: of labels that are names.
        columns: the logits that count, in increasing order; None: all. Labels are indices of the
            network's, not of these.
    """

    count: int | None
    how: str = ""
    index_of: dict[str, int] = field(default_factory=dict, repr=False)
    columns: npt.NDArray[np.intp] | None = field(default=None, repr=False)

    def indices(self, label: Label, key: str) -> tuple[int, ...]:
        """The classes that are right; empty where none is known.

        Raises:
            ValueError: a name that no class has, or an index that the network does not have.
        """
        if label is None:
            return ()
        if isinstance(label, str):
            if label not in self.index_of:
                raise ValueError(
                    f"{key}: has the label {label!r}; expected the name of a class, such as "
                    f"{next(iter(self.index_of), 'none')!r}"
                )
            label = self.index_of[label]
        found = label if isinstance(label, tuple) else (label,)
        for index in found:
            if index < 0 or (self.count is not None and index >= self.count):
                raise ValueError(
                    f"{key}: has the label {index}; expected class indices from 0 to "
                    f"{(self.count or 0) - 1}"
                )
        if self.columns is not None:
            outside = sorted(set(found) - set(self.columns.tolist()))
            if outside:
                raise ValueError(
                    f"{key}: has the label {outside[0]}, which is none of the "
                    f"{len(self.columns)} classes that count"
                )
        return found


def resolve_classes(
    names: Sequence[str] | None,
    count: int | None,
    class_names: Sequence[str] | None,
    where: str,
    columns: Sequence[int] | None = None,
) -> Classes:
    """Which class each name means. The first rule that fits all of them is taken.

    1. A class of the network has that name.
    2. It is a synset of ImageNet, and the network has 1000 classes.
    3. It is a class index, in decimal digits: "10" is 10, not what is sorted after "1".
    4. There are as many names as classes: these are in the order of their names, as the network
       was trained where nothing else is known of it.

    Args:
        names: of the classes in the data; None if these are not known, or indices.
        count: classes of the network.
        class_names: what the network calls them.
        where: the data, for messages.
        columns: the logits that count, in any order.

    Raises:
        ValueError: no rule fits, or columns that the network does not have.
    """
    chosen = None if columns is None else _counted(columns, count)
    known = {name: index for index, name in enumerate(class_names or ())}
    synsets = synset_indices() if count in (1000, None) else {}
    if names is None:
        return Classes(count, "", {**synsets, **known}, chosen)
    if known and all(name in known for name in names):
        return Classes(count, "by the network's class names", known, chosen)
    if all(name in synsets for name in names):
        return Classes(count, "by ImageNet's synsets", synsets, chosen)
    digits = {name: int(name) for name in names if name.isascii() and name.isdigit()}
    if len(digits) == len(names):
        return Classes(count, "by class index", digits, chosen)
    if count == len(names) and not any(is_synset(name) for name in names):
        ordered = {name: index for index, name in enumerate(sorted(names))}
        return Classes(count, "in the order of the folders' names", ordered, chosen)
    raise ValueError(_misfit(names, count, known, synsets, where))


def _counted(columns: Sequence[int], count: int | None) -> npt.NDArray[np.intp]:
    """Columns in increasing order; ValueError for what are no classes."""
    chosen = sorted({at_least("columns", column, 0) for column in columns})
    if not chosen or (count is not None and chosen[-1] >= count):
        found = chosen[-1] if chosen else "none"
        raise ValueError(f"columns has {found}; expected class indices below {count}")
    return np.asarray(chosen, np.intp)


def _misfit(
    names: Sequence[str],
    count: int | None,
    known: dict[str, int],
    synsets: dict[str, int],
    where: str,
) -> str:
    expected = [f"{count} classes"]
    if known:
        unknown = [name for name in names if name not in known]
        expected = [f"the network's classes; {len(unknown)} are none of them: {listed(unknown)}"]
    elif any(is_synset(name) for name in names):
        strange = [name for name in names if name not in synsets]
        if count == 1000:
            expected = [f"ImageNet's synsets; {len(strange)} are none of them: {listed(strange)}"]
    return (
        f"{where}: has {len(names)} classes, such as {names[0]!r}; expected {expected[0]}, or "
        "folders named by class index"
    )
