"""The package inside other programs' interpreters and threads."""

from __future__ import annotations

import subprocess
import sys

import pytest


def run(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False
    )


@pytest.mark.parametrize("imported_before", [False, True])
def test_a_subinterpreter_gets_an_import_error(imported_before: bool):
    name = "_interpreters" if sys.version_info >= (3, 13) else "_xxsubinterpreters"
    interpreters = pytest.importorskip(name)
    assert interpreters
    first = "import mobileone._core" if imported_before else ""
    # Legacy ones share the GIL, as they did before Python 3.12.
    create = 'create("legacy")' if sys.version_info >= (3, 13) else "create()"
    result = run(
        f"{first}\nimport {name} as interpreters\n"
        f"failure = interpreters.run_string(interpreters.{create}, 'import mobileone._core')\n"
        "raise SystemExit(getattr(failure, 'formatted', None))"
    )
    assert result.returncode == 1
    assert "ImportError" in result.stderr
    assert "mobileone._core cannot be imported in a subinterpreter" in result.stderr


DAEMONS = """
import threading, time
import numpy
import mobileone

model = mobileone.reparameterize(mobileone.create_model("mobileone_mu0"))
x = numpy.zeros((1, 3, 64, 64), numpy.float32)
started = threading.Barrier(4)

def work():
    model(x)
    started.wait()
    while True:
        model(x)

for _ in range(3):
    threading.Thread(target=work, daemon=True).start()
started.wait()
time.sleep(0.2)
"""


def test_daemon_threads_that_compute_at_exit_do_not_abort():
    result = run(DAEMONS)
    assert (result.returncode, result.stderr) == (0, "")
