#!/usr/bin/env bash
# torch.nn.functional.interpolate(mode="bicubic") is two kernels: with antialias=False Keys' cubic with a = -0.75
# (OpenCV's), with antialias=True a = -0.5 (Pillow's). So when a map is enlarged, where there is nothing to
# antialias, the flag changes the result; mode="bilinear" is the same with and without. A picture that is enlarged
# to a network's input agrees with Pillow's only with the flag set.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --no-compile numpy==2.4.6 torch==2.13.0 pillow==13.0.0 opencv-python-headless==5.0.0.93
OMP_NUM_THREADS=1 nice -n 10 "$dir/venv/bin/python" -W ignore - <<'PY'
import cv2
import numpy as np
import PIL
import torch
from PIL import Image
from torch.nn.functional import interpolate

print("torch", torch.__version__, "/ Pillow", PIL.__version__, "/ OpenCV", cv2.__version__)
x = np.random.default_rng(0).random((12, 12), np.float32)


def enlarged(mode, antialias):
    return interpolate(torch.from_numpy(x)[None, None], size=(48, 48), mode=mode, antialias=antialias)[0, 0].numpy()


plain, flag = enlarged("bicubic", False), enlarged("bicubic", True)
pillow = np.asarray(Image.fromarray(x).resize((48, 48), Image.Resampling.BICUBIC))
opencv = cv2.resize(x, (48, 48), interpolation=cv2.INTER_CUBIC)


def far(a, b):
    return float(np.abs(a - b)[12:-12, 12:-12].max())  # away from the border, where their rules differ too


print(f"4 x, bicubic: antialias changes it by {far(plain, flag):.3f}")
print(f"  antialias=True  - Pillow {far(flag, pillow):.1e}, - OpenCV {far(flag, opencv):.1e}")
print(f"  antialias=False - Pillow {far(plain, pillow):.1e}, - OpenCV {far(plain, opencv):.1e}")
bilinear = far(enlarged("bilinear", False), enlarged("bilinear", True))
print(f"4 x, bilinear: antialias changes it by {bilinear:.1e}")
assert bilinear < 1e-6
assert far(plain, flag) > 0.01, "both flags use one kernel now"
assert far(flag, pillow) < 1e-5 < far(plain, pillow)
assert far(plain, opencv) < 1e-5 < far(flag, opencv)
PY
echo "as recorded: bicubic has a = -0.75 without antialias and -0.5 with it, also where nothing is reduced"
