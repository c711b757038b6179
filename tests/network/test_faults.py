"""What a machine or a caller may do to plans: each is an exception, or works."""

from __future__ import annotations

import threading
from pathlib import Path

import mobileone
import numpy as np
import pytest
from cases import MOBILEONE, MOBILEVIT, Family, each_family, images
from conftest import Run

BACKENDS = ("auto", "onednn", "loops")


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    "shape", [(2**33, 3, 64, 64), (2**31 - 1, 3, 64, 64), (1, 3, 2**33, 64), (1, 3, 2**31, 2**31)]
)
def test_shapes_that_nothing_can_count_are_refused(shape: tuple[int, ...], backend: str) -> None:
    for family in (MOBILEONE, MOBILEVIT):
        with pytest.raises(ValueError, match=r"has shape \(.*expected at most 2\^31 - 1"):
            family.make("inference").compile(shape, backend=backend)


OUT_OF_MEMORY = """
import resource
import mobileone, numpy as np
model = mobileone.create_model("mobileone_mu0", num_classes=3, form={form!r})
model.compile((1, 3, 64, 64), backend={backend!r}, threads=1)
resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30))
try: model.compile((64, 3, 2048, 2048), backend={backend!r}, threads=1)
except MemoryError as error: print(error)
x = np.ones((1, 3, 64, 64), np.float32)
print(np.isfinite(model.compile(x.shape, threads=1)(x)).all())
"""


@pytest.mark.parametrize("form", ["train-time", "inference"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_out_of_memory_is_a_memory_error_with_the_size(
    python: Run, form: str, backend: str
) -> None:
    said = python(OUT_OF_MEMORY.format(form=form, backend=backend), OMP_NUM_THREADS="1")
    message, works = said.splitlines()
    assert int(message.partition("] ")[2].partition(" bytes")[0]) > 1 << 30, message
    assert works == "True"


def test_a_thread_with_little_stack_runs_plans(python: Run) -> None:
    """Plans are compiled elsewhere and run there, which is what callbacks of other programs do."""
    script = """
import threading
import numpy as np, mobileone
x = np.ones((1, 3, 64, 64), np.float32)
plans = [
    mobileone.create_model(name, num_classes=3, form=form).compile(
        (1, 3, 64, 64), threads=threads, backend=backend)
    for name in ("mobileone_mu0", "mobilevit_xxs")
    for form in ("train-time", "inference")
    for backend in ("auto", "onednn", "loops")
    for threads in (1, 2)
]
expected, found = [plan(x) for plan in plans], []
threading.stack_size(32 << 10)
thread = threading.Thread(target=lambda: found.extend(plan(x) for plan in plans))
thread.start()
thread.join()
print(len(found), all(np.array_equal(a, b) for a, b in zip(found, expected)))
"""
    assert python(script, OMP_NUM_THREADS="2") == "24 True"


def test_activations_of_simultaneous_calls_are_given_back() -> None:
    model = MOBILEONE.make("inference")
    compiled = model.compile((4, 3, 64, 64), threads=1)
    x = images(4, (64, 64))
    expected = compiled(x)
    begin, callers = threading.Barrier(6), []

    def call() -> None:
        begin.wait()
        for _ in range(30):
            np.testing.assert_array_equal(compiled(x), expected)

    for _ in range(6):
        callers.append(threading.Thread(target=call))
        callers[-1].start()
    for caller in callers:
        caller.join()
    for _ in range(64):
        compiled(x)
    assert compiled.memory()["contexts"] == 1
    compiled.plan.release_idle()
    assert compiled.memory()["contexts"] == 0
    np.testing.assert_array_equal(compiled(x), expected)


@each_family
def test_cached_plans_hold_bounded_memory(family: Family) -> None:
    model = family.make("inference")
    sizes = [32, 48, 64, 80, 96]
    one = {size: model.compile((2, 3, size, size)).memory() for size in sizes}
    held = [memory["arena"] + memory["scratch"] for memory in one.values()]
    model.plans.capacity_bytes = held[-1] + held[-2]
    for size in (*sizes, *sizes[::-1]):
        expected = model.compile((2, 3, size, size))(images(2, (size, size)))
        np.testing.assert_array_equal(model(images(2, (size, size))), expected)
        report = model.memory_report()
        assert report["arena"] + report["scratch"] <= model.plans.capacity_bytes + held[-1]
    assert model.memory_report()["plans"] == len(sizes)
    assert model.plans.made == len(sizes)


def test_a_single_plan_may_be_larger_than_the_bound() -> None:
    model = MOBILEONE.make("inference")
    model.plans.capacity_bytes = 1
    x = images(1, (64, 64))
    for _ in range(3):
        model(x)
    assert model.plans.made == 1
    assert model.memory_report()["arena"] > 1
    model(images(1, (32, 32)))
    assert [plan.memory()["contexts"] for plan in model.plans.values()] == [0, 1]


def test_a_stored_plan_that_is_written_to_is_not_run(tmp_path: Path) -> None:
    path = tmp_path / "x.plan"
    MOBILEONE.make("inference").save_plan(path, (1, 3, 32, 32))
    plan = mobileone.load_plan(path)
    x = images(1, (32, 32))
    plan(x)
    content = path.read_bytes()
    with path.open("wb") as file:  # truncated first: what is mapped is gone
        for run in (lambda: plan(x), lambda: plan.time(x, 1), lambda: plan.profile(x, 1)):
            with pytest.raises(ValueError, match=r"x\.plan: was written to while in use"):
                run()
        file.write(content)
    with pytest.raises(ValueError, match=r"x\.plan: was written to while in use"):
        plan(x)
    np.testing.assert_array_equal(mobileone.load_plan(path)(x), mobileone.load_plan(path)(x))
