"""The processes that engines run in: where, when, and how they end."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.runtimes.busy import busy_cpus, kept_busy
from benchmarks.runtimes.case import Case
from benchmarks.runtimes.cpus import choose_cpus
from benchmarks.runtimes.worker_process import WorkerError, WorkerProcess, child_environment

from .support import CPUS


def test_cpus_are_physical_cores_of_the_affinity_mask() -> None:
    allowed = os.sched_getaffinity(0)
    assert choose_cpus(1)[0] in allowed
    first = min(allowed)
    assert choose_cpus(1, [first]) == [first]
    with pytest.raises(ValueError, match=r"threads is 4096; expected at most \d+"):
        choose_cpus(4096)
    with pytest.raises(ValueError, match=r"cpus has \[99999\]; expected some of"):
        choose_cpus(1, [99999])


def test_exported_limits_do_not_reach_the_engines(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OMP_WAIT_POLICY", "ONEDNN_MAX_CPU_ISA", "MOBILEONE_MAX_ISA"):
        monkeypatch.setenv(name, "x")
    environment = child_environment({"OMP_NUM_THREADS": "2"})
    assert environment["OMP_NUM_THREADS"] == "2"
    assert environment["PATH"] == os.environ["PATH"]
    assert not {"OMP_WAIT_POLICY", "ONEDNN_MAX_CPU_ISA", "MOBILEONE_MAX_ISA"} & set(environment)


@pytest.fixture
def worker() -> Iterator[WorkerProcess]:
    with WorkerProcess(CPUS, {"OMP_NUM_THREADS": "1"}) as process:
        yield process


def state(pid: int) -> str:
    """The state letter in /proc/PID/stat, after the name in parentheses."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_worker_is_confined_paused_and_ended(worker: WorkerProcess, case: Case) -> None:
    worker.ask("open", "mobileone_engine", os.fspath(case.folder), 1)
    assert os.sched_getaffinity(worker.pid) == set(CPUS)
    worker.pause()
    deadline = time.monotonic() + 30
    while state(worker.pid) != "T" and time.monotonic() < deadline:
        time.sleep(0.01)
    assert state(worker.pid) == "T"
    worker.resume()
    assert len(worker.ask("time", 0.0, 0.0)) == 1
    worker.pause()
    worker.close()
    with pytest.raises(ProcessLookupError):
        os.kill(worker.pid, 0)


def ended(pid: int) -> bool:
    """No process of that number is left, not even one that waits to be collected."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_worker_errors_are_told_apart(worker: WorkerProcess, tmp_path: Path) -> None:
    with pytest.raises(WorkerError, match="FileNotFoundError"):
        worker.ask("open", "mobileone_engine", os.fspath(tmp_path), 1)
    os.kill(worker.pid, signal.SIGKILL)
    with pytest.raises(WorkerError, match="died at 'output': SIGKILL"):
        worker.ask("output")


def test_a_worker_that_does_not_answer_in_time_is_ended(worker: WorkerProcess) -> None:
    worker.ask("peak_memory")
    worker.pause()  # a stopped process cannot answer, however fast the machine is
    with pytest.raises(WorkerError, match=r"no answer to 'peak_memory' within 0\.01 s"):
        worker.ask("peak_memory", timeout_s=0.01)
    assert ended(worker.pid)
    with pytest.raises(WorkerError, match="died at 'peak_memory': SIGKILL"):
        worker.ask("peak_memory")


def test_an_answer_in_time_does_not_end_the_worker(worker: WorkerProcess) -> None:
    assert worker.ask("peak_memory", timeout_s=60) > 0
    assert not ended(worker.pid)


def test_answers_to_other_requests_are_passed_over(worker: WorkerProcess, case: Case) -> None:
    settings = worker.ask("open", "mobileone_engine", os.fspath(case.folder), 1)
    worker._send("open", "mobileone_engine", os.fspath(case.folder), 1)
    worker._send("output")
    assert isinstance(worker.ask("peak_memory"), int)
    again = worker._send("open", "mobileone_engine", os.fspath(case.folder), 1)
    assert len(worker.ask("time", 0.0, 0.0)) == 1
    assert again == 5
    assert worker.ask("open", "mobileone_engine", os.fspath(case.folder), 1) == settings


def test_the_last_cpus_are_kept_busy_and_one_stays_free() -> None:
    assert busy_cpus([1, 2, 3], 1) == [3]
    assert busy_cpus([1, 2, 3], 2) == [2, 3]
    assert busy_cpus([3], 1) == []
    assert busy_cpus([2, 3], 0) == []


def test_a_busy_cpu_is_computed_on_until_the_end() -> None:
    cpu = sorted(os.sched_getaffinity(0))[-1]
    before = _children()
    with kept_busy([cpu]):
        (child,) = _children() - before
        assert os.sched_getaffinity(child) == {cpu}
    assert _children() <= before


def _children() -> set[int]:
    """Processes that this one has started and not waited for."""
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue  # it has ended meanwhile
        if parent == os.getpid():
            found.add(int(folder.name))
    return found
