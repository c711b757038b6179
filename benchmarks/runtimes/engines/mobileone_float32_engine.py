"""Our own engine in float32, beside another precision."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.runtimes.engines import mobileone_engine

DISTRIBUTION = mobileone_engine.DISTRIBUTION


def write(folder: Path, threads: Sequence[int]) -> None:
    """Nothing to do: the float network is in our own format already."""


class Session(mobileone_engine.Session):
    """The float network, compiled for float32."""

    dtype = "float32"
