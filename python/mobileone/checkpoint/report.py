"""How a checkpoint was understood, for the user to read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mobileone.util.errors import listed


@dataclass(frozen=True, repr=False)
class LoadReport:
    """How a checkpoint was understood. ``str()`` gives it as one line.

    Attributes:
        source: file name or description of the object.
        container: "safetensors", "torch zip", "torch legacy", "npz", "mapping" or "module"; of
            several files "safetensors shards" and the like.
        wrapper: the key under which the weights were, e.g. "state_dict_ema"; "" for none.
        averaged: whether they are averaged (EMA) weights; None where the source does not say.
        others: the weights that were there too and were not taken.
        prefixes: what was removed from the keys, e.g. ("module.",).
        layout: the dialect of the keys.
        dtypes: number of tensors by the dtype they had.
        filled: tensors that were missing and are not needed (`num_batches_tracked`, now 0).
        missing: tensors that were started anew: a classifier, with strict=False.
        ignored: tensors of the source that the network does not have, with strict=False, and
            other heads where one was asked for.
        head: the module that the classifier was taken from, e.g. "head.fc"; "" for none.
        heads: every classifier that the source has, each with its number of classes.
        skipped: what is beside the weights and no tensor, by key: its type, or the global that
            the file names in its place. Nothing of it was run.
        told: what weights do not show -> who said it: "module", "config.json", "metadata" or
            "config".
        assumed: what weights do not show and nobody said -> the published value, which was taken.
        notes: what else was found, or could not be checked.
    """

    source: str
    container: str
    wrapper: str
    averaged: bool | None
    others: tuple[str, ...]
    prefixes: tuple[str, ...]
    layout: str
    dtypes: Mapping[str, int] = field(default_factory=dict)
    filled: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()
    head: str = ""
    heads: tuple[str, ...] = ()
    skipped: Mapping[str, str] = field(default_factory=dict)
    told: Mapping[str, str] = field(default_factory=dict)
    assumed: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def assumptions(self) -> str:
        """What was assumed, in words."""
        return ", ".join(f"{name} {value}" for name, value in self.assumed.items())

    def __repr__(self) -> str:
        return f"<LoadReport {self}>"

    def __str__(self) -> str:
        taken = f"{self.wrapper} of " if self.wrapper else ""
        kind = {True: " (averaged weights)", False: " (plain weights)", None: ""}[self.averaged]
        notes = [f"{number} {dtype}" for dtype, number in self.dtypes.items()]
        if self.others:
            notes.append(f"not taken: {', '.join(self.others)}")
        if self.prefixes:
            notes.append(f"prefix {''.join(self.prefixes)} removed")
        if self.filled:
            notes.append(f"{len(self.filled)} missing batch counts set to 0")
        if self.missing:
            notes.append(f"missing, started anew: {listed(self.missing)}")
        if self.head and self.heads[1:]:
            notes.append(f"classifier {self.head} of {listed(self.heads)}")
        elif not self.head and not self.missing:
            notes.append("no classifier: results are pooled features")
        if self.skipped:
            notes.append(f"skipped: {listed(f'{k} ({v})' for k, v in self.skipped.items())}")
        if self.ignored:
            notes.append(f"ignored: {listed(self.ignored)}")
        for who in dict.fromkeys(self.told.values()):
            fields = [name for name, teller in self.told.items() if teller == who]
            notes.append(f"{', '.join(fields)} from {who}")
        if self.assumed:
            notes.append(f"assumed, as weights do not show it: {self.assumptions()}")
        notes += self.notes
        return (
            f"{taken}{self.source}{kind}: {self.layout} layout, {self.container}; "
            f"{'; '.join(notes)}"
        )
