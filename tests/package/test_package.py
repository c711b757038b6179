"""The installed package: metadata, types, licences, and that it carries what it loads."""

from __future__ import annotations

import re
import shutil
import subprocess
from importlib import metadata
from pathlib import Path

import mobileone
import pytest
from mobileone import _core

PACKAGE = Path(mobileone.__file__).parent
EXTENSION = Path(_core.__file__)
SYSTEM = {"libc", "libm", "libgcc_s", "libstdc++", "libpthread", "libdl", "librt", "libgomp"}


def test_one_version_everywhere() -> None:
    assert mobileone.__version__ == metadata.version("mobileone")
    assert _core.__version__ == mobileone.__version__
    assert _core.build_info()["version"] == mobileone.__version__


def test_numpy_is_the_only_dependency() -> None:
    requirements = metadata.requires("mobileone") or []
    needed = [line for line in requirements if "extra ==" not in line]
    assert [re.split(r"[<>=!~ ;\[]", line)[0] for line in needed] == ["numpy"]


def test_no_extra_for_users_pulls_in_torch() -> None:
    extras = {
        re.search(r"extra == ['\"](.+?)['\"]", line)[1]  # type: ignore[index]
        for line in metadata.requires("mobileone") or []
        if line.startswith("torch")
    }
    assert extras <= {"test"}


def test_the_command_is_installed() -> None:
    scripts = metadata.entry_points(group="console_scripts", name="mobileone")
    assert [script.value for script in scripts] == ["mobileone.cli:main"]


def test_types_are_shipped() -> None:
    assert (PACKAGE / "py.typed").is_file()
    stub = (PACKAGE / "_core.pyi").read_text()
    public = [name for name in dir(_core) if not name.startswith("_")]
    for name in public:
        assert re.search(rf"(def|class) {name}\b|^{name}\b", stub, re.MULTILINE), name


def test_licences_are_shipped() -> None:
    assert metadata.metadata("mobileone")["License-Expression"] == "MIT"
    names = {Path(str(file)).name for file in metadata.files("mobileone") or []}
    assert "LICENSE" in names
    if (EXTENSION.parent / "libdnnl.so.3").exists():
        assert "THIRD-PARTY-PROGRAMS" in names


def test_onednn_is_recent_enough() -> None:
    major, minor = (int(part) for part in re.findall(r"\d+", _core.onednn_version())[:2])
    assert (major, minor) >= (3, 2)


@pytest.mark.skipif(shutil.which("ldd") is None, reason="needs ldd")
def test_every_library_is_found_beside_the_extension_or_in_the_system() -> None:
    lines = subprocess.run(
        ["ldd", str(EXTENSION)], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert not [line for line in lines if "not found" in line]
    for line in lines:
        found = re.match(r"\s*(\S+?)\.so\S* => (\S+)", line)
        if found and found[1] not in SYSTEM:
            assert found[1] == "libdnnl"
            assert Path(found[2]).resolve().parent == EXTENSION.resolve().parent
