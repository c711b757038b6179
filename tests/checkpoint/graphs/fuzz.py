"""Mutated ONNX files: loaded, or refused with an error of ours.

python -m checkpoint.graphs.fuzz 100000     # from tests/, with a seed to begin with after it
"""

from __future__ import annotations

import sys
from functools import cache
from pathlib import Path

import mobileone
from interchange.onnx_fuse.fuzz import campaign, mutated

from .onnx_graphs import finish, graph
from .test_operators import CASES, number
from .test_spellings import SPELLINGS

ALLOWED = (mobileone.CheckpointError, NotImplementedError, OSError)


@cache
def originals() -> tuple[bytes, ...]:
    """A small file of every operator and spelling."""
    models = []
    for build in (*CASES.values(), *(build for build, _, _ in SPELLINGS.values())):
        made = graph()
        models.append(finish(made, made.add("Add", build(made), number(made, 1.0))))
    return tuple(model.SerializeToString() for model in models)


def check_mutated(seed: int, folder: Path) -> str:
    """Load a mutated file; what became of it."""
    path = folder / "mutated.onnx"
    path.write_bytes(mutated(seed, originals()))
    try:
        model = mobileone.load(path)
    except ALLOWED as error:
        return type(error).__name__ if str(error) else "an error without a message"
    mobileone.reparameterize(model)
    return "loaded"


if __name__ == "__main__":
    campaign(check_mutated, *map(int, sys.argv[1:]))
