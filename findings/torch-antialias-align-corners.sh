#!/usr/bin/env bash
# PyTorch's interpolate(align_corners=True, antialias=True), bilinear and bicubic, on CPUs. align_corners is to put the
# first and last samples on the centres of the first and last pixels. With antialias it changes the samples' distance,
# (in - 1) / (out - 1), but not their beginning, half of it from the edge: no corner is aligned. Reduced from 11 to 6
# columns, the samples lie at 0.5, 2.5, ... 10.5 instead of 0, 2, ... 10, the last beyond the last pixel. The picture is
# shifted, and mirroring it before or after gives other pixels. Without either argument all is as documented.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --no-compile numpy==2.4.6 torch==2.13.0
OMP_NUM_THREADS=1 nice -n 10 "$dir/venv/bin/python" -W ignore - <<'PY'
import numpy as np
import torch
from torch.nn import functional as F

print("torch", torch.__version__)
torch.manual_seed(0)
picture = torch.randn(1, 1, 12, 11, dtype=torch.float64)


def kernel(mode, t):
    t = np.abs(t)
    if mode == "bilinear":
        return np.maximum(0, 1 - t)
    a = -0.5  # of the kernel that PyTorch takes with antialias
    near, far = (a + 2) * t**3 - (a + 3) * t**2 + 1, a * (t**3 - 5 * t**2 + 8 * t - 4)
    return np.where(t <= 1, near, np.where(t < 2, far, 0))


def matrix(mode, size, to, align, centred):
    """The weights of a row of pixels for each sample; `centred`: the samples' places as without align_corners."""
    step = (size - 1) / (to - 1) if align else size / to
    places = (np.arange(to) + 0.5) * step - 0.5 if centred else np.arange(to) * step
    weights = kernel(mode, (np.arange(size) - places[:, None]) / max(step, 1))
    return weights / weights.sum(1, keepdims=True)


for mode in ("bilinear", "bicubic"):
    for to in ((5, 6), (23, 16), (12, 6)):
        for align in (False, True):
            y = F.interpolate(picture, to, mode=mode, align_corners=align, antialias=True)
            errors = {}
            for centred in (False, True):
                rows, columns = (matrix(mode, n, m, align, centred) for n, m in zip(picture.shape[2:], to))
                errors[centred] = np.abs(y[0, 0].numpy() - rows @ picture[0, 0].numpy() @ columns.T).max()
            other = F.interpolate(picture.flip(3), to, mode=mode, align_corners=align, antialias=True).flip(3)
            plain = F.interpolate(picture.flip(3), to, mode=mode, align_corners=align).flip(3)
            assert torch.allclose(plain, F.interpolate(picture, to, mode=mode, align_corners=align))
            mirrored = (y - other).abs().max().item()
            print(
                f"{mode:8} 12 x 11 to {to[0]:2} x {to[1]:2}, align_corners={align!s:5}: off by {errors[not align]:.1e} from its definition, "
                f"{errors[True]:.1e} from samples half a step inside, {mirrored:.1e} from the mirrored picture's"
            )
            assert errors[True] < 1e-6, "the samples lie elsewhere now"
            assert mirrored > 0.05 and errors[False] > 0.05 if align else mirrored < 1e-6, "the corners are aligned now"

columns = torch.arange(11.0, dtype=torch.float64).expand(1, 1, 12, 11)
for smooth in (False, True):
    y = F.interpolate(columns, (12, 21), mode="bilinear", align_corners=True, antialias=smooth)[0, 0, 0]
    print(f"11 columns to 21, align_corners=True, antialias={smooth!s:5}: columns {y[:3].tolist()} ... {y[-3:].tolist()}")
    assert torch.allclose(y, torch.arange(21, dtype=y.dtype) / 2) != smooth
PY
echo "as recorded: PyTorch's interpolate aligns no corner with antialias=True"
