"""What a plan says of itself: a table of its steps, and their times under MOBILEONE_VERBOSE."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import mobileone
import pytest

SCRIPT = """
import mobileone, numpy
model = mobileone.create_model("mobileone_mu0", form="inference")
plan = model.compile((1, 3, 64, 64), threads=1, backend="loops")
x = numpy.zeros((1, 3, 64, 64), numpy.float32)
for _ in range(2): plan(x)
print(len(plan.steps))
"""


@pytest.mark.parametrize("backend", ["auto", "onednn", "loops"])
def test_every_step_has_a_row(backend: str) -> None:
    model = mobileone.create_model("mobileone_mu0", form="inference")
    plan = model.compile((2, 3, 64, 64), threads=2, backend=backend)
    title, head, _, *rows, note = plan.describe().splitlines()
    assert title == "input (2, 3, 64, 64), 2 threads"
    assert head.split() == ["name", "kind", "implementation", "inputs", "output", "MACs", "bytes"]
    assert len(rows) == len(plan.steps)
    for row, step in zip(rows, plan.steps, strict=True):
        for text in (step["implementation"], str(step["output_shape"])):
            assert text in row
    assert note.startswith(f"{len(rows)} steps, ")


@pytest.mark.parametrize("value", [None, "", "0", "1"])
def test_verbose_runs_print_a_line_per_step(value: str | None) -> None:
    environment = {k: v for k, v in os.environ.items() if k != "MOBILEONE_VERBOSE"}
    if value is not None:
        environment["MOBILEONE_VERBOSE"] = value
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True, env=environment
    )
    lines = done.stderr.splitlines()
    steps = int(done.stdout)  # nothing else goes there
    assert len(lines) == (2 * steps if value == "1" else 0)
    for line in lines:
        assert re.fullmatch(r"mobileone: +\d+\.\d us  \S.*  loops", line), line
