"""Results that a thread works on."""

from __future__ import annotations

import threading

import pytest
from mobileone.util.later import Later


def no_more(thread: threading.Thread) -> None:
    raise RuntimeError("can't start new thread")


@pytest.mark.parametrize("threads", [True, False])
def test_gives_the_result_each_time(threads: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not threads:
        monkeypatch.setattr(threading.Thread, "start", no_more)
    ran = []
    later = Later(lambda: ran.append(threading.current_thread()) or [1])
    assert later.result() == [1]
    assert later.result() is later.result()
    assert len(ran) == 1
    assert (ran[0] is threading.current_thread()) == (not threads)


@pytest.mark.parametrize("threads", [True, False])
def test_raises_what_the_function_raised(threads: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not threads:
        monkeypatch.setattr(threading.Thread, "start", no_more)
    later = Later(lambda: [][1])
    for _ in range(2):
        with pytest.raises(IndexError):
            later.result()
