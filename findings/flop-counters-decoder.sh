#!/usr/bin/env bash
# Multiply-adds of the layers that decoders and ported networks are made of. A transposed convolution multiplies each
# pixel of its input with the kernel: thop and torchinfo count each pixel of its result, for stride 2 four times too
# many; calflops divides by the groups twice, and a depthwise one costs nothing. With padding="same", as in networks
# that come from TensorFlow, fvcore counts nothing (and lists the operator as unsupported), calflops, for an even
# kernel, a smaller map than there is. PyTorch's own counter and ptflops on its aten backend are right.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --no-compile numpy==2.4.6 torch==2.13.0 fvcore==0.1.5.post20221221 \
  thop==0.1.1.post2209072238 ptflops==0.7.5 torchinfo==1.8.0 transformers==5.24.0 accelerate==1.15.0
"$dir/venv/bin/pip" install -q --no-compile --no-deps calflops==0.3.2
OMP_NUM_THREADS=1 nice -n 10 "$dir/venv/bin/python" -W ignore - 2>"$dir/log" <<'PY' || { tail "$dir/log"; exit 1; }
import contextlib
import io

import calflops
import ptflops
import thop
import torch
import torchinfo
from fvcore.nn import FlopCountAnalysis
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

shape = (1, 8, 16, 16)
x = torch.zeros(shape)


def by_torch(net):
    with FlopCounterMode(display=False) as counter:
        net(x)
    return counter.get_total_flops() // 2  # it counts a multiply-add as two


def by_ptflops(net):
    options = {"as_strings": False, "print_per_layer_stat": False, "backend": "aten"}
    return ptflops.get_model_complexity_info(net, shape[1:], **options)[0]


def by_calflops(net):
    options = {"print_results": False, "print_detailed": False, "output_as_string": False}
    return calflops.calculate_flops(net, input_shape=shape, **options)[1]


COUNTERS = {
    "torch 2.13.0": by_torch,
    "ptflops 0.7.5": by_ptflops,
    "fvcore 0.1.5": lambda net: FlopCountAnalysis(net, x).total(),
    "thop 0.1.1": lambda net: thop.profile(net, (x,), verbose=False)[0],
    "torchinfo 1.8.0": lambda net: torchinfo.summary(net, shape, verbose=0).total_mult_adds,
    "calflops 0.3.2": by_calflops,
}
# Multiply-adds are pixels (of the input where the layer is transposed) times weights; what is counted, over that.
TRANSPOSED = {"thop 0.1.1": 4, "torchinfo 1.8.0": 4}
CASES = {
    "3 x 3": (nn.Conv2d(8, 16, 3, padding=1, bias=False), {}),
    "transposed, stride 2": (nn.ConvTranspose2d(8, 16, 2, 2, bias=False), TRANSPOSED),
    "transposed, 4 groups": (
        nn.ConvTranspose2d(8, 16, 2, 2, groups=4, bias=False),
        TRANSPOSED | {"calflops 0.3.2": 1 / 4},
    ),
    "transposed, depthwise": (
        nn.ConvTranspose2d(8, 8, 4, 2, 1, groups=8, bias=False),
        TRANSPOSED | {"calflops 0.3.2": 0},
    ),
    "4 x 4, padding same": (
        nn.Conv2d(8, 16, 4, padding="same", bias=False),
        {"fvcore 0.1.5": 0, "calflops 0.3.2": 15**2 / 16**2},
    ),
}
print(f"{'':22} {'by hand':>9}", *(f"{name:>16}" for name in COUNTERS))
for title, (net, wrong) in CASES.items():
    right = 16 * 16 * net.weight.numel()
    counts = {}
    for name, count in COUNTERS.items():
        with contextlib.redirect_stdout(io.StringIO()):
            counts[name] = float(count(net.eval()))
    print(f"{title:22} {right:>9,}", *(f"{int(count):>16,}" for count in counts.values()))
    for name, count in counts.items():
        assert abs(count / right - wrong.get(name, 1)) < 0.02, f"{name} counts otherwise now"
PY
echo "as recorded: four of six counters miscount transposed convolutions or padding"
