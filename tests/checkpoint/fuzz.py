"""Mutation fuzzing of the checkpoint readers.

    python -m tests.checkpoint.fuzz --mutations 100000 --seed 0 --kind npz

Takes valid files of every container, damages them, and loads them; of pickles every other one is
made up instead, out of opcodes, globals that the reader knows, and calls that must not happen.
Whatever happens, only a CheckpointError may escape (of a config.json also a NotImplementedError),
nothing may run, be opened for writing or started, and nothing may take long or much memory. A
failure prints the seed and the number of the mutation, which reproduce it: `--seed S --only N`,
with the same kind.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import pkgutil
import random
import resource
import signal
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mobileone.checkpoint
import mobileone.data
import mobileone.families
import mobileone.tasks
from mobileone.checkpoint import CheckpointError, load_state_dict
from mobileone.checkpoint.open import open_bundle

from .fuzz_changes import mutate
from .fuzz_pickles import made_up
from .fuzz_seeds import Seed, seed_files

KINDS = ("safetensors", "torch", "npz", "index", "pickle", "config")
SECONDS_EACH = 10
# To write a file over on a disk takes longer than most mutations take to load.
IN_MEMORY = "/dev/shm"
# Of Python's audit hooks: what loading a checkpoint has no use for.
FORBIDDEN = ("os.system", "os.exec", "os.posix_spawn", "os.fork", "subprocess.Popen", "exec",
             "compile", "import", "os.remove", "os.rename", "socket.", "pickle.", "ctypes.",
             "shutil.", "marshal.")  # fmt: skip
# Beyond what the process has after its first loads; the files have some 100 kB.
MEMORY_BOUND = 256 << 20


@contextlib.contextmanager
def _time_limit(seconds: int) -> Iterator[None]:
    """Of computing: machines may stand still."""

    def expire(*_: object) -> None:
        raise TimeoutError(f"more than {seconds} s")

    previous = signal.signal(signal.SIGPROF, expire)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, previous)


class _Watch:
    """Remembers what happened between `start` and `stop` that must not happen."""

    def __init__(self) -> None:
        self.on = False
        self.seen = ""
        sys.addaudithook(self._hear)  # for the rest of the process: hooks cannot be removed

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.on and not self.seen:
            writes = event == "open" and bool(set(str(arguments[1])) & set("wax+"))
            if writes or event.startswith(FORBIDDEN):
                self.seen = f"{event}{arguments!r:.200}"

    @contextlib.contextmanager
    def __call__(self) -> Iterator[None]:
        self.on = True
        try:
            yield
        finally:
            self.on = False
        assert not self.seen, f"loading caused {self.seen}"


_WATCH: list[_Watch] = []


def run(
    mutations: int,
    seed: int = 0,
    only: int | None = None,
    seconds: float = float("inf"),
    kind: str | None = None,
) -> Counter[str]:
    """Loads that many damaged files; what came of them, by the wording of the error.

    Args:
        mutations: how many.
        seed: of all.
        only: the number of the one to make.
        seconds: of computing, after which to stop.
        kind: one of `KINDS`, or None for all.

    Raises:
        AssertionError: an exception that is not one of those above, something that must not happen
            while loading, or memory beyond the bound.
    """
    for package in (mobileone.checkpoint, mobileone.data, mobileone.families, mobileone.tasks):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            importlib.import_module(module.name)  # what is imported on first use, at last
    watch = _WATCH[0] if _WATCH else _Watch()
    _WATCH[:] = [watch]
    outcomes: Counter[str] = Counter()
    stop = time.process_time() + seconds  # machines may be busy with something else
    in_memory = IN_MEMORY if os.access(IN_MEMORY, os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=in_memory) as folder:
        files = seed_files(Path(folder))
        everything = [file.data for file in files]
        for file in files:
            path = Path(folder) / file.name
            path.write_bytes(file.data)
            _load(file, path)
        files = [file for file in files if kind in (None, file.kind)]
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for number in range(mutations) if only is None else [only]:
            rng = random.Random(f"{seed} {number}")
            chosen = rng.choice(files)
            made = chosen.kind == "pickle" and number % 2
            path = Path(folder) / chosen.name
            path.write_bytes(made_up(rng) if made else mutate(chosen.data, everything, rng))
            try:
                with _time_limit(SECONDS_EACH), warnings.catch_warnings(), watch():
                    warnings.simplefilter("ignore")
                    _load(chosen, path, strict=bool(number % 3))
                outcomes["loaded"] += 1
            except _expected(chosen) as error:
                outcomes[_kind(str(error), str(path))] += 1
            except BaseException as error:
                raise AssertionError(f"seed {seed}, mutation {number}: {error!r}") from error
            if time.process_time() > stop:
                break
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    assert grown < MEMORY_BOUND, f"seed {seed}: memory grew by {grown >> 20} MB"
    return outcomes


def _expected(file: Seed) -> tuple[type[Exception], ...]:
    """What may be raised; a config.json may speak of a function that these networks have not."""
    return (CheckpointError, NotImplementedError) if file.kind == "config" else (CheckpointError,)


def _load(file: Seed, path: Path, *, strict: bool = True) -> None:
    """Of a config.json, the network that lies beside it."""
    if file.kind == "config":
        open_bundle(path.parent, strict=strict)
    else:
        load_state_dict(path, strict=strict)


def _kind(message: str, path: str) -> str:
    """The wording of a message without what varies in it."""
    message = message.replace(path, "FILE").split(" (pickle, near")[0]
    words = [w for w in message.split() if w.isalpha()]
    return " ".join(words[:6])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mutations", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kind", choices=KINDS, help="of the files; default: all")
    parser.add_argument("--only", type=int, help="run this one mutation, to reproduce a failure")
    arguments = parser.parse_args()
    start = time.monotonic()
    outcomes = run(arguments.mutations, arguments.seed, arguments.only, kind=arguments.kind)
    for kind, count in outcomes.most_common(25):
        print(f"{count:8}  {kind}")
    print(
        f"{outcomes.total()} mutations, {len(outcomes)} outcomes, {time.monotonic() - start:.0f} s"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
