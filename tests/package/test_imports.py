"""What importing costs and exports, and that PyTorch may come before or after."""

from __future__ import annotations

import hashlib
import shutil
import subprocess

import mobileone
import pytest
from conftest import Run
from mobileone import _core

EXTRAS = ("torch", "matplotlib", "pandas", "tqdm", "safetensors", "PIL", "threadpoolctl", "rich")

MOBILEONE = """
import mobileone
def run_mobileone():
    x = numpy.random.default_rng(0).standard_normal((1, 3, 64, 64), numpy.float32)
    return mobileone.create_model("mobileone_mu0", seed=1)(x).tobytes()
"""
TORCH = """
import torch
def run_torch():
    x = torch.from_numpy(numpy.random.default_rng(0).standard_normal((1, 8, 64, 64)))
    x, conv = x.float(), torch.nn.Conv2d(8, 16, 3)
    torch.nn.init.constant_(conv.weight, 0.25)
    torch.nn.init.zeros_(conv.bias)
    return conv(x).detach().numpy().tobytes()
"""
DIGEST = "import hashlib; print(hashlib.sha256(run_mobileone() + run_torch()).hexdigest())"


def test_torch_before_and_after(python: Run) -> None:
    """Either order of import, either order of the first run: the bits that each gives alone."""
    alone = [
        bytes.fromhex(python(f"import numpy{package}print({run}().hex())", OMP_NUM_THREADS="2"))
        for package, run in ((MOBILEONE, "run_mobileone"), (TORCH, "run_torch"))
    ]
    expected = hashlib.sha256(b"".join(alone)).hexdigest()
    for imports in (TORCH + MOBILEONE, MOBILEONE + TORCH):
        for runs in ("run_torch()\n", "run_mobileone()\n"):
            assert python(f"import numpy{imports}{runs}{DIGEST}", OMP_NUM_THREADS="2") == expected


def test_import_costs_numpy_and_nothing_else(python: Run) -> None:
    script = f"""
import sys, mobileone
loaded = [name for name in {EXTRAS!r} if name in sys.modules]
model = mobileone.create_model("custom", widths=[8], depths=[1])
import numpy
mobileone.reparameterize(model)(numpy.zeros((1, 3, 32, 32), numpy.float32))
loaded += [name for name in {EXTRAS!r} if name in sys.modules]
sys.stderr.write(str(loaded)) if loaded else None
sys.exit(len(loaded))
"""
    assert python(script) == ""  # nothing printed either


def test_the_core_needs_numpy_only(python: Run) -> None:
    """With every optional package missing, all that needs none of them works."""
    script = f"""
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {EXTRAS!r}: raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Missing())
import numpy, mobileone
model = mobileone.create_model("custom", widths=[8, 16], depths=[1, 1], num_conv_branches=2)
fused = mobileone.reparameterize(model)
x = numpy.ones((2, 3, 32, 32), numpy.float32)
fused(x), fused.features(x, (0, 1, 2)), model.train()(x), model.eval()
assert mobileone.load(model.state_dict(), config={{"eps": 1e-5}})(x).shape == (2, 1000)
assert mobileone.list_models()
mobileone.show_config()
mobileone.profile(fused, input_size=32, runs=2)
"""
    python(script)


def test_nothing_is_printed(python: Run) -> None:
    script = """
import numpy, mobileone
x = numpy.zeros((2, 3, 32, 32), numpy.float32)
for _ in range(2):
    model = mobileone.create_model("mobileone_mu0").train()
    model(x), model.state_dict(), mobileone.reparameterize(model)(x)
    try:
        model(x[:, :2])
    except ValueError:
        pass
"""
    assert python(script) == ""


def test_public_names_resolve() -> None:
    for name in mobileone.__all__:
        assert getattr(mobileone, name) is not None
        assert name in dir(mobileone)
    assert callable(mobileone.verify)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        mobileone.nonsense  # noqa: B018


@pytest.mark.skipif(shutil.which("nm") is None, reason="needs nm of GNU binutils")
def test_only_the_module_entry_point_is_exported() -> None:
    symbols = subprocess.run(
        ["nm", "-D", "--defined-only", "--extern-only", _core.__file__],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\n")
    exported = {line.split()[-1].split("@")[0] for line in symbols if line.strip()}
    assert exported == {"PyInit__core"}


def test_modules_under_the_names_that_documents_gave_up_to_0_1_0(python: Run) -> None:
    """The same modules, not copies; unknown names are still unknown."""
    script = """
import sys, mobileone
assert not [name for name in mobileone._ALIASES if name in sys.modules]
from mobileone.plots import PALETTE, plot_roofline
import mobileone.drawing, mobileone.environment, mobileone.rounding, mobileone.threads
import mobileone.figures.drawing, mobileone.verification.rounding
assert mobileone.drawing is mobileone.figures.drawing
assert mobileone.rounding is mobileone.verification.rounding
for old, new in mobileone._ALIASES.items():
    if old == "mobileone.torch": continue  # it imports PyTorch
    module = sys.modules[new]
    assert sys.modules[old] is module and module.__spec__.name == module.__name__ == new
try: import mobileone.nonsense
except ModuleNotFoundError as error: print(error)
"""
    assert python(script) == "No module named 'mobileone.nonsense'"
