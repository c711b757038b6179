"""Where the package cannot be built, the build says so; where it was not, the import."""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
_NUMPY = f"import sys; sys.path.append({str(Path(np.__file__).parents[1])!r})"


@pytest.mark.skipif(shutil.which("cmake") is None, reason="there is no cmake")
@pytest.mark.parametrize(("system", "processor"), [("Darwin", "arm64"), ("Linux", "aarch64")])
def test_other_platforms_are_named(system: str, processor: str, tmp_path: Path) -> None:
    if not (ROOT / "CMakeLists.txt").exists():
        pytest.skip("no source tree")
    command = ["cmake", "-S", str(ROOT), "-B", str(tmp_path)]
    options = [f"-DCMAKE_SYSTEM_NAME={system}", f"-DCMAKE_SYSTEM_PROCESSOR={processor}"]
    done = subprocess.run(
        [*command, *options], capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode
    told = " ".join(done.stderr.split())
    assert f"mobileone runs on Linux on x86-64; this is {system} on {processor}." in told


@pytest.mark.parametrize("others", [[], ["_core.cpython-39-x86_64-linux-gnu.so"]])
def test_a_missing_engine_is_named(others: list[str], tmp_path: Path) -> None:
    package = ROOT / "python" / "mobileone"
    if not package.exists():
        pytest.skip("no source tree")
    copy = tmp_path / "mobileone"
    shutil.copytree(package, copy, ignore=shutil.ignore_patterns("*.so*", "__pycache__"))
    for name in others:
        (copy / name).touch()
    script = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import mobileone; mobileone.load"
    # Without site-packages, where editable installations find modules whatever the path.
    command = [sys.executable, "-S", "-c", f"{_NUMPY}; {script}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    told = done.stderr.strip().splitlines()[-1]
    assert told.startswith(
        f"ImportError: mobileone: no engine for {platform.python_implementation()} "
        f"{sys.version_info[0]}.{sys.version_info[1]} on Linux on {platform.machine()}: "
        f"{copy.resolve()} has {others[0] if others else 'none'}; expected"
    )
