"""Ctrl-C while a study measures."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest


@pytest.fixture
def ctrl_c_at(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """A function: from then on the call of that number (from 0) of `CompiledModel.time` raises."""
    from mobileone.network.compiled import CompiledModel

    def arranged(number: int) -> None:
        real, calls = CompiledModel.time, itertools.count()

        def interrupted(self: CompiledModel, *arguments: Any) -> Any:
            if next(calls) == number:
                raise KeyboardInterrupt
            return real(self, *arguments)

        monkeypatch.setattr(CompiledModel, "time", interrupted)

    return arranged
