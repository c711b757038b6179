"""Where the package cannot be built, the build says so."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


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
