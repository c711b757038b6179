#!/usr/bin/env bash
# nn.AvgPool2d(2, 2, ceil_mode=True), which halves maps of odd size too, from PyTorch to ncnn by ncnn's own converter,
# pnnx. In the last row and column a window ends outside the picture. PyTorch divides by the pixels that are there
# (padding that is asked for counts, what lies past it does not), and the mean stays a mean. ncnn's Pooling pads the
# map with zeros up to whole windows and, with avgpool_count_include_pad=1, which pnnx writes because it is PyTorch's
# default, counts them: the last row and column are half of what they should be, the corner a quarter. 3 x 3 windows
# lose up to 8/9. Even maps, ceil_mode=False and count_include_pad=False are right. Nothing is said.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --no-compile numpy==2.4.6 torch==2.13.0
"$dir/venv/bin/pip" install -q --no-compile --no-deps pnnx==20261020 ncnn==1.0.20261020
cd "$dir"
OMP_NUM_THREADS=1 nice -n 10 venv/bin/python -W ignore - <<'PY'
import subprocess
from importlib.metadata import version
from pathlib import Path

import ncnn
import numpy as np
import pnnx
import torch
from torch import nn

print("pnnx", version("pnnx"), "/ ncnn", version("ncnn"), "/ torch", torch.__version__)
converter = Path(pnnx.__file__).parent / "pnnx"


def by_ncnn(layer, x):
    torch.jit.trace(layer, x).save("net.pt")
    shape = "inputshape=[" + ",".join(map(str, x.shape)) + "]"
    subprocess.run([converter, "net.pt", shape, "fp16=0"], check=True, capture_output=True)
    net = ncnn.Net()
    net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = False
    net.opt.num_threads = 1
    assert net.load_param("net.ncnn.param") == 0 and net.load_model("net.ncnn.bin") == 0
    extractor = net.create_extractor()
    extractor.input("in0", ncnn.Mat(x[0].numpy()).clone())
    status, out = extractor.extract("out0")
    assert status == 0
    return np.array(out)


def by_hand(x, kernel, size):
    """The mean of the pixels of each window that are in the picture."""
    starts = [kernel * i for i in range(-(-size // kernel))]
    rows = [[x[0, :, i : i + kernel, j : j + kernel].double().mean((1, 2)) for j in starts] for i in starts]
    return torch.stack([torch.stack(row, -1) for row in rows], -2).numpy()


torch.manual_seed(0)
for kernel, size, options, wrong in (
    (2, 8, {"ceil_mode": True}, False),
    (2, 7, {"ceil_mode": True, "count_include_pad": False}, False),
    (2, 7, {"ceil_mode": True}, True),
    (3, 10, {"ceil_mode": True}, True),
):
    layer, x = nn.AvgPool2d(kernel, kernel, **options).eval(), torch.rand(1, 3, size, size) + 0.5
    right, result = by_hand(x, kernel, size), by_ncnn(layer, x)
    assert np.abs(layer(x)[0].numpy() - right).max() < 1e-6
    ratio = (result / right)[0]
    print(f"AvgPool2d({kernel}, {kernel}, {options}) of {size} x {size}: ncnn over what is right\n{ratio.round(3)}")
    expected = np.ones_like(ratio)
    if wrong:
        there = (size % kernel) / kernel
        expected[-1] *= there
        expected[:, -1] *= there
    assert np.abs(ratio - expected).max() < 1e-5, "ncnn pools otherwise now"
PY
echo "as recorded: ncnn's AvgPool2d with ceil_mode divides by pixels that are not there"
