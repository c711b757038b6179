"""What a start loads: neither oneDNN nor OpenMP nor any module that the work at hand leaves unused.

No timings: `python -m benchmarks.runtimes --cold-start` measures.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import mobileone
import pytest
from conftest import Run
from mobileone import _core

ONEDNN = Path(_core.__file__).with_name("libmobileone_onednn.so")

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/maps").exists(), reason="needs the list of mappings that Linux gives"
)
fused_only = pytest.mark.skipif(_core.isa() == "none", reason="needs the fused kernels")

LOADED = """
import sys
def libraries():
    with open("/proc/self/maps") as maps: text = maps.read()
    return [name for name in ("libgomp", "libdnnl", "libmobileone_onednn") if name in text]
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("files")
    model = mobileone.create_model("mobileone_mu0", form="inference")
    model.save(folder / "fused.safetensors")
    if _core.isa() != "none":
        model.save_plan(folder / "fused.plan", (1, 3, 64, 64), threads=2)
    return {path.suffix[1:]: str(path) for path in folder.iterdir()}


def first_result(kind: str, path: str) -> str:
    load = "load_plan" if kind == "plan" else "load"
    return f"""
import numpy, mobileone
bare = set(sys.modules)
run = mobileone.{load}({path!r})
assert numpy.isfinite(run(numpy.ones((1, 3, 64, 64), numpy.float32))).all()
"""


@fused_only
@pytest.mark.parametrize("kind", ["plan", "safetensors"])
def test_a_fused_run_loads_neither_openmp_nor_onednn(
    python: Run, files: dict[str, str], kind: str
) -> None:
    script = LOADED + first_result(kind, files[kind]) + "print(libraries())"
    assert python(script, OMP_NUM_THREADS="2") == "[]"


@fused_only
def test_they_come_with_the_first_step_that_needs_them(python: Run) -> None:
    script = (
        LOADED
        + """
import numpy, mobileone, os, ctypes
from mobileone import _core
version = _core.onednn_version()
assert libraries() == []
model = mobileone.create_model("mobileone_mu0")
model(numpy.zeros((1, 3, 32, 32), numpy.float32))
assert _core.onednn_version() == version
getenv = ctypes.CDLL(None).getenv
getenv.restype = ctypes.c_char_p
print(*libraries(), getenv(b"GOMP_SPINCOUNT"), os.environ.get("GOMP_SPINCOUNT"))
"""
    )
    assert python(script) == "libgomp libdnnl libmobileone_onednn None None"


@fused_only
def test_the_users_choice_of_spinning_is_kept(python: Run) -> None:
    script = (
        LOADED
        + """
import ctypes
from mobileone import _core
_core.onednn_channel_block()
getenv = ctypes.CDLL(None).getenv
getenv.restype = ctypes.c_char_p
print(*libraries(), getenv(b"GOMP_SPINCOUNT").decode())
"""
    )
    assert python(script, GOMP_SPINCOUNT="77").split()[-1] == "77"


# Modules that cost milliseconds each.
HEAVY = {
    "plan": ("dataclasses", "importlib.metadata", "json", "numpy.typing", "pathlib",
             "threading", "zlib", "mobileone.checkpoint", "mobileone.data.config",
             "mobileone.model", "mobileone.util.machine.threads"),
    "safetensors": ("importlib.metadata", "numpy.typing", "pathlib", "secrets", "zipfile",
                    "mobileone.checkpoint.containers.safetensors_writer",
                    "mobileone.checkpoint.containers.torch_zip",
                    "mobileone.checkpoint.containers.unpickler", "mobileone.network.stored_plan"),
}  # fmt: skip


@fused_only
@pytest.mark.parametrize("kind", HEAVY)
def test_a_first_result_imports_no_more_than_it_needs(
    python: Run, files: dict[str, str], kind: str
) -> None:
    """Beyond what NumPy brings along."""
    script = f"import sys\n{first_result(kind, files[kind])}"
    script += f"print([name for name in {HEAVY[kind]!r} if name in set(sys.modules) - bare])"
    assert python(script) == "[]"


@fused_only
def test_a_missing_onednn_is_an_error_that_says_so(
    python: Run, tmp_path: Path, files: dict[str, str]
) -> None:
    """The fused path works without it; a step that needs it names the file."""
    alone = shutil.copy(_core.__file__, tmp_path)
    script = f"""
import importlib.util, sys
spec = importlib.util.spec_from_file_location("mobileone._core", {alone!r})
sys.modules["mobileone._core"] = core = importlib.util.module_from_spec(spec)
spec.loader.exec_module(core)
{first_result("plan", files["plan"])}
for _ in range(2):
    try: mobileone.create_model("mobileone_mu0")(numpy.zeros((1, 3, 32, 32), numpy.float32))
    except RuntimeError as error: print(error)
"""
    first, second = python(script).splitlines()
    assert first == second
    assert str(tmp_path / ONEDNN.name) in first
    assert "expected it beside the extension" in first


@pytest.mark.skipif(shutil.which("nm") is None, reason="needs nm of GNU binutils")
def test_the_shared_object_exports_one_function() -> None:
    symbols = subprocess.run(
        ["nm", "-D", "--defined-only", "--extern-only", ONEDNN],
        capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    assert {line.split()[-1].split("@")[0] for line in symbols if line} == {"mobileone_onednn"}


@pytest.mark.skipif(shutil.which("ldd") is None, reason="needs ldd")
def test_libraries_are_found_beside_the_package() -> None:
    def needed(path: Path | str) -> dict[str, str]:
        lines = subprocess.run(
            ["ldd", path], capture_output=True, text=True, check=True
        ).stdout.splitlines()
        fields = (line.split() for line in lines)
        return {words[0]: words[2] for words in fields if len(words) > 2 and words[1] == "=>"}

    beside = [path for name, path in needed(ONEDNN).items() if name.startswith("libdnnl")]
    assert [Path(path).resolve().parent for path in beside] == [ONEDNN.resolve().parent]
    extension = needed(_core.__file__)
    assert not [name for name in extension if name.startswith(("libdnnl", "libgomp"))]


def test_loops_run_both_forms_without_onednn(python: Run) -> None:
    script = (
        LOADED
        + """
import numpy, mobileone
from mobileone.verification.rounding import rounding_bound
x = numpy.random.default_rng(0).standard_normal((2, 3, 64, 48)).astype(numpy.float32)
model = mobileone.create_model("mobileone_mu0")
for form in (model, mobileone.reparameterize(model)):
    compiled = form.compile(x.shape, backend="loops", threads=2)
    exact, _ = mobileone._core.reference_forward(form.network, x, [form.graph.output_name])
    error = numpy.abs(compiled(x) - exact[0]).max()
    print(error <= rounding_bound(form, x).logits, {s["implementation"] for s in compiled.steps})
assert libraries() == [], libraries()
"""
    )
    assert python(script).splitlines() == ["True {'loops'}"] * 2
