#!/usr/bin/env bash
# OpenVINO's convert_model takes a PyTorch module and drops arguments of its calls, without a word. Softplus loses
# beta and threshold, round its decimals, var and std a correction other than 0 and 1; cdist with p other than 2 is no
# distance at all; a map reduced to one pixel by linear or cubic interpolation is its first pixel and not its centre.
# The same calls with the arguments' usual values, and reduced to 3 x 3, are right.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --no-compile numpy==2.4.6 torch==2.13.0 openvino==2026.4.1
OMP_NUM_THREADS=1 nice -n 10 "$dir/venv/bin/python" -W ignore - <<'PY'
import numpy as np
import openvino as ov
import torch
from torch import nn
from torch.nn import functional as F

print("openvino", ov.__version__, "/ torch", torch.__version__)
OPTIONS = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}


class Call(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *inputs):
        return self.function(*inputs)


def compare(title, function, inputs, right, instead=None):
    """Right or not as recorded; if not, OpenVINO gives what the function `instead` does."""
    expected = function(*inputs).numpy()
    made = ov.convert_model(Call(function).eval(), example_input=inputs)
    found = ov.Core().compile_model(made, "CPU", OPTIONS)([x.numpy() for x in inputs])[0]
    show = [np.asarray(a, np.float64).reshape(-1)[:3].round(3) for a in (expected, found)]
    print(f"{title:40} PyTorch {show[0]}  OpenVINO {show[1]}")
    same = expected.shape == found.shape and np.allclose(expected, found, rtol=1e-4, atol=1e-5)
    assert same == right, "OpenVINO treats this otherwise now"
    if instead is not None:
        assert np.allclose(instead(*inputs).numpy(), found, rtol=1e-4, atol=1e-5), "wrong in another way now"


torch.manual_seed(0)
x, z = torch.randn(2, 4, 5, 7), torch.tensor([-2.44, -0.26, 0.26, 1.44])
compare("softplus", F.softplus, (z,), True)
compare("softplus(beta=3)", lambda z: F.softplus(z, 3), (z,), False, F.softplus)
compare("softplus(threshold=1)", lambda z: F.softplus(z, 1, 1), (z,), False, F.softplus)
compare("round", torch.round, (z,), True)
compare("round(decimals=1)", lambda z: torch.round(z, decimals=1), (z,), False, torch.round)
for correction in (0, 1):
    compare(f"var(correction={correction})", lambda x: x.var(1, correction=correction), (x,), True)
compare("var(correction=2)", lambda x: x.var(1, correction=2), (x,), False, lambda x: x.var(1))
compare("std(correction=2)", lambda x: x.std(1, correction=2), (x,), False, lambda x: x.std(1))
a, b = torch.randn(3, 4), torch.randn(5, 4)
compare("cdist", torch.cdist, (a, b), True)
compare("cdist(p=1)", lambda a, b: torch.cdist(a, b, 1.0), (a, b), False)
for mode in ("bilinear", "bicubic"):
    compare(f"{mode} to 3 x 3", lambda x: F.interpolate(x, (3, 3), mode=mode), (x,), True)
    first = (lambda x: x[..., :1, :1],)
    compare(f"{mode} to 1 x 1", lambda x: F.interpolate(x, (1, 1), mode=mode), (x,), False, *first)
assert torch.equal(F.interpolate(x, (1, 1), mode="bilinear"), x[..., 2:3, 3:4])  # the centre
PY
echo "as recorded: OpenVINO drops arguments of PyTorch's calls: beta, threshold, decimals, correction, p"
