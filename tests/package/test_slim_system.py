"""On a system without GNU OpenMP: what needs none runs, and the rest says which package to get."""

from __future__ import annotations

import shutil
from pathlib import Path

import mobileone
from conftest import Run
from mobileone import _core

SCRIPT = """
import sys
# Without the finder of an editable installation.
sys.meta_path[:] = [f for f in sys.meta_path if "Redirecting" not in type(f).__name__]
sys.path.insert(0, {folder!r})
import numpy as np, mobileone
assert mobileone.__file__.startswith({folder!r}), mobileone.__file__
model = mobileone.create_model("mobileone_mu0", num_classes=3)
x = np.ones((1, 3, 64, 64), np.float32)
print(mobileone.reparameterize(model)(x).shape)
try: model(x)
except RuntimeError as error: print(error)
"""


def test_a_missing_libgomp_is_named(python: Run, tmp_path: Path) -> None:
    package = tmp_path / "mobileone"
    shutil.copytree(Path(mobileone.__file__).parent, package)
    extension = Path(_core.__file__)
    shutil.copy(extension, package)
    # The same libraries, which ask for one that no system has.
    for library in (*extension.parent.glob("libmobileone_onednn*.so"), *onednn_of(extension)):
        content = library.read_bytes().replace(b"libgomp.so.1\0", b"libgomp.so.0\0")
        (package / library.name).write_bytes(content)
    said = python(SCRIPT.format(folder=str(tmp_path))).splitlines()
    assert said[0] == "(1, 3)"
    assert "libgomp.so.0" in said[1]
    assert "install the system's package libgomp1 (Debian, Ubuntu) or libgomp (Fedora" in said[1]


def onednn_of(extension: Path) -> list[Path]:
    return [path for path in extension.parent.glob("libdnnl.so.3") if path.is_file()]
