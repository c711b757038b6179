"""What an installed wheel must do in an environment with NumPy and nothing else."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import mobileone
import numpy as np

assert not any(shutil.which(name) for name in ("c++", "g++", "cc", "gcc", "clang", "cmake"))
assert "site-packages" in mobileone.__file__, mobileone.__file__

model = mobileone.create_model("mobileone_s0", seed=1)
fused = mobileone.reparameterize(model)
assert mobileone.verify(model, fused)
x = np.random.default_rng(0).standard_normal((2, 3, 224, 224), np.float32)
for backend in ("auto", "onednn", "loops"):  # with oneDNN's library and without
    close = fused.compile(x.shape, backend=backend)(x)
    np.testing.assert_allclose(close, fused(x), rtol=1e-3, atol=1e-3 * np.abs(fused(x)).max())
with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "fused.safetensors"
    fused.save(path)
    np.testing.assert_array_equal(mobileone.load(path)(x), fused(x))
digits = Path(mobileone.__file__).parent / "cli" / "digits.safetensors"
try:
    mobileone.evaluate(mobileone.load(digits), "digits")
    raise AssertionError("Pillow is here; expected NumPy alone")
except ImportError as error:
    message = str(error)
assert "mobileone[image]" in message, message
print(mobileone.show_config())
