"""Threads of all kinds: OpenMP's, Python's, and those that a fork leaves behind."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import mobileone
import numpy as np
import pytest
import torch
from cases import engine_model, exact, fresh_model, images, torch_model
from conftest import Run
from torch_rounding import rounding_bounds


@pytest.mark.parametrize("threads", [1, 2, 3, 8])
def test_any_number_of_threads_computes_the_same_function(threads: int) -> None:
    module, x = torch_model("mobileone_mu0"), images(2, (96, 80))
    compiled = engine_model("mobileone_mu0").compile(x.shape, threads=threads)
    assert compiled.threads == threads
    with torch.no_grad():
        expected = module(exact(x)).numpy()
    assert np.abs(compiled(x) - expected).max() <= rounding_bounds(module, exact(x)).logits
    np.testing.assert_array_equal(compiled(x), compiled(x))


@pytest.mark.parametrize("bad", [0, -1, 1.5, "2", True, 10**6])
def test_bad_thread_counts(bad: object) -> None:
    with pytest.raises(ValueError, match="threads is"):
        engine_model("mobileone_mu0").compile((1, 3, 64, 64), threads=bad)  # type: ignore[arg-type]


# How many threads a run adds to the process, and what compile() says. The inference form has one
# pool of threads; the train-time form has OpenMP's beside it, and one of the two rests.
COUNT_THREADS = """
import os, numpy as np, mobileone
model = mobileone.create_model("custom", widths=[64, 128], depths=[2, 2], form="{form}")
x = np.zeros((2, 3, 128, 128), np.float32)
before = len(os.listdir("/proc/self/task"))
compiled = model.compile(x.shape{arguments})
for _ in range(3): compiled(x)
print(compiled.threads, len(os.listdir("/proc/self/task")) - before)
"""


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_the_threads_argument_is_obeyed(python: Run, threads: int) -> None:
    script = COUNT_THREADS.format(arguments=f", threads={threads}", form="inference")
    assert python(script, OMP_NUM_THREADS="3") == f"{threads} {threads - 1}"
    script = COUNT_THREADS.format(arguments=f", threads={threads}", form="train-time")
    asked, added = map(int, python(script, OMP_NUM_THREADS="3").split())
    assert asked == threads
    assert threads - 1 <= added <= 2 * (threads - 1)


@pytest.mark.parametrize("threads", [1, 3])
def test_omp_num_threads_is_obeyed(python: Run, threads: int) -> None:
    script = COUNT_THREADS.format(arguments="", form="inference")
    assert python(script, OMP_NUM_THREADS=str(threads)) == f"{threads} {threads - 1}"


def test_the_affinity_mask_is_obeyed(python: Run) -> None:
    script = "import os; os.environ.pop('OMP_NUM_THREADS', None)\n"
    script += "os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
    assert python(script + COUNT_THREADS.format(arguments="", form="inference")) == "1 0"


def test_other_openmp_users_keep_their_team(python: Run) -> None:
    """A run leaves omp_get_max_threads of the calling thread as it was."""
    script = """
import ctypes, numpy as np, mobileone
gomp = ctypes.CDLL("libgomp.so.1")
gomp.omp_set_num_threads(5)
model = mobileone.create_model("custom", widths=[8], depths=[1])
model.compile((1, 3, 32, 32), threads=2)(np.zeros((1, 3, 32, 32), np.float32))
print(gomp.omp_get_max_threads())
"""
    assert python(script) == "5"


@pytest.mark.parametrize("form", ["train-time", "inference"])
def test_one_model_from_many_python_threads(form: str) -> None:
    """Cold: plans are made concurrently, too, and there are more shapes than the cache holds."""
    model = mobileone.load(engine_model("mobileone_mu0", form).state_dict())
    work = [images(1 + i % 2, (32 + 8 * (i % 11), 64), seed=i) for i in range(22)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(model, work))
        levels = list(pool.map(model.features, work))
    for x, logits, maps in zip(work, found, levels, strict=True):
        np.testing.assert_array_equal(logits, model(x))
        for a, b in zip(maps, model.features(x), strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("threads", [1, 2])
def test_one_plan_from_many_python_threads(threads: int) -> None:
    shape = (1, 3, 64, 64)
    compiled = engine_model("mobileone_mu0", "inference").compile(shape, threads=threads)
    work = [images(1, shape[2:], seed=seed) for seed in range(6)]
    expected = [compiled(x) for x in work]
    start = threading.Barrier(len(work))

    def run(index: int) -> bool:
        start.wait()
        return all(np.array_equal(compiled(work[index]), expected[index]) for _ in range(30))

    with ThreadPoolExecutor(len(work)) as pool:
        assert all(pool.map(run, range(len(work))))


def test_training_calls_wait_for_one_another() -> None:
    model, x = fresh_model("mobileone_mu0").train(), images(2, (32, 32))
    key = "stage0.rbr_scale.bn.num_batches_tracked"
    before = int(model.state_dict()[key])
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: model(x), range(12)))
    assert int(model.state_dict()[key]) == before + 12


def ticks_during(action: Callable[[], object]) -> tuple[int, float]:
    """How often another Python thread woke in the middle half of the call; the call's seconds."""
    ticks: list[float] = []
    stop = threading.Event()

    def tick() -> None:
        while not stop.is_set():
            ticks.append(time.perf_counter())
            time.sleep(0.0005)

    ticker = threading.Thread(target=tick)
    ticker.start()
    time.sleep(0.01)
    start = time.perf_counter()
    action()
    end = time.perf_counter()
    stop.set()
    ticker.join()
    quarter = (end - start) / 4
    return sum(start + quarter < t < end - quarter for t in ticks), end - start


def test_the_gil_is_released_in_run_and_compile() -> None:
    from mobileone import _core

    model, x = engine_model("mobileone_s4"), images(4, (224, 224))
    network, names = model.network, [model.graph.output_name]
    plan = _core.Plan(network, x.shape, names, 1)
    logits = np.empty((4, 1000), np.float32)
    calls = {
        "run": lambda: plan.run(x, [logits]),
        "compile": lambda: _core.Plan(network, (3, 3, 224, 224), names, 1),
        "reparameterize": lambda: _core.reparameterize(network),
    }
    for name, call in calls.items():
        ticks, seconds = ticks_during(call)
        assert seconds > 0.005, f"{name} is too short to tell"
        assert ticks > 0, f"{name} held the GIL for {seconds:.3f} s"


# The parent runs with `threads`, forks, and both sides run on; the child may refuse but not hang.
FORK = """
import os, sys, time, warnings
import numpy as np, mobileone
warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12: fork with threads
model = mobileone.create_model(NAME, seed=1)
x = np.random.default_rng(0).standard_normal((2, 3, 64, 64), np.float32)
expected, expected_other = model(x), model(x[:1, :, :48])
child = os.fork()
if child == 0:
    try:
        same = np.array_equal(model(x), expected)
        other = mobileone.create_model(NAME, seed=1)  # everything anew: compile, too
        same &= np.array_equal(other(x[:1, :, :48]), expected_other)
        os._exit(0 if same else 1)
    except RuntimeError as error:
        os._exit(0 if str(error) else 2)
    except BaseException:
        os._exit(3)
deadline = time.monotonic() + 60
while True:
    done, status = os.waitpid(child, os.WNOHANG)
    if done: break
    if time.monotonic() > deadline:
        os.kill(child, 9); os.waitpid(child, 0)
        sys.exit("the child hangs")
    time.sleep(0.01)
assert np.array_equal(model(x), expected)
print(os.waitstatus_to_exitcode(status))
"""


@pytest.mark.parametrize(
    ("name", "threads"),
    [
        ("mobileone_mu0", "1"),
        ("mobileone_mu0", "2"),
        ("mobileone_mu0", "4"),
        ("mobilevit_xxs", "2"),
    ],
)
def test_fork_after_a_run(python: Run, name: str, threads: str) -> None:
    script = f"NAME = {name!r}\n{FORK}"
    assert python(script, OMP_NUM_THREADS=threads, timeout=100) == "0"


def test_a_pool_of_forked_workers(python: Run) -> None:
    script = """
import multiprocessing, warnings
import numpy as np, mobileone
warnings.simplefilter("ignore", DeprecationWarning)
model = mobileone.create_model("mobileone_mu0", seed=1)
x = np.random.default_rng(0).standard_normal((1, 3, 64, 64), np.float32)
def work(scale): return model(scale * x)
expected = [work(s) for s in range(6)]
with multiprocessing.get_context("fork").Pool(2) as pool:
    found = pool.map_async(work, range(6)).get(timeout=60)
print(all(np.array_equal(a, b) for a, b in zip(expected, found)))
"""
    assert python(script, OMP_NUM_THREADS="2", timeout=100) == "True"
