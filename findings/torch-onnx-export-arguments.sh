#!/usr/bin/env bash
# torch.onnx.export(dynamo=True), PyTorch's exporter by onnxscript, writes other functions than it was given, without a
# word. avg_pool2d loses its divisor_override (the sum of a window, by divisor 1, becomes its average), cross_entropy its
# label_smoothing; scatter_reduce by the mean becomes an assignment, where the last value stays; attention with a mask
# that lets a query see nothing gives it the values' mean and not PyTorch's zeros. It is the file that says so: ONNX
# Runtime and ONNX's own evaluator agree on it. The same calls with other arguments are right.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --no-compile numpy==2.4.6 torch==2.13.0 onnx==1.23.2 onnxruntime==1.32.0 \
  onnxscript==0.7.2 onnx-ir==1.1.0
OMP_NUM_THREADS=1 nice -n 10 "$dir/venv/bin/python" -W ignore - 2>"$dir/log" <<'PY' || { tail "$dir/log"; exit 1; }
import contextlib
import io

import numpy as np
import onnxruntime as ort
import onnxscript
import torch
from onnx.reference import ReferenceEvaluator
from torch import nn
from torch.nn import functional as F

print("torch", torch.__version__, "/ onnxscript", onnxscript.__version__, "/ onnxruntime", ort.__version__)


class Call(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *inputs):
        return self.function(*inputs)


def exported(function, inputs):
    """What ONNX Runtime and ONNX's evaluator make of the exported file."""
    with contextlib.redirect_stdout(io.StringIO()):
        program = torch.onnx.export(Call(function).eval(), inputs, dynamo=True, verbose=False)
    proto = program.model_proto
    session = ort.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    feed = {i.name: x.numpy() for i, x in zip(session.get_inputs(), inputs)}
    return session.run(None, feed)[0], ReferenceEvaluator(proto).run(None, feed)[0]


def compare(title, function, inputs, instead=None):
    """Right, or if `instead` is given, what the function `instead` does."""
    expected = function(*inputs).numpy()
    found, evaluated = exported(function, inputs)
    error = np.abs(expected - found).max()
    print(f"{title:52} off by {error:.2g}")
    assert np.allclose(found, evaluated, rtol=1e-4, atol=1e-5), "the runtimes disagree"
    if instead is None:
        assert error < 1e-4
    else:
        assert error > 0.1, "exported rightly now"
        assert np.allclose(instead(*inputs).numpy(), found, rtol=1e-4, atol=1e-4), "wrong in another way now"


torch.manual_seed(0)
x = torch.randn(2, 4, 9, 11)
for options in ({}, {"count_include_pad": False}):
    compare(f"avg_pool2d({options})", lambda x: F.avg_pool2d(x, 3, 2, **options), (x,))
for size in (3, 4):
    lost = (lambda x: F.avg_pool2d(x, size, 2),)
    compare(f"avg_pool2d({size}, divisor_override=1)", lambda x: F.avg_pool2d(x, size, 2, divisor_override=1), (x,), *lost)

v, index = torch.randn(4, 7), torch.tensor([[0, 0, 2], [1, 3, 1], [2, 2, 2], [0, 1, 2]])


def assigned(v):
    y = v.clone()
    for i, row in enumerate(index):
        for j, k in enumerate(row):
            y[i, k] = 2 * v[i, j]
    return y


for reduce in ("sum", "amax", "mean"):
    for include in (True, False):
        lost = (assigned,) if reduce == "mean" else ()
        call = (lambda v: v.scatter_reduce(1, index, 2 * v[:, :3], reduce, include_self=include))
        compare(f"scatter_reduce({reduce}, include_self={include})", call, (v,), *lost)

labels, weights = torch.tensor([0, 1, 2, 6]), torch.arange(1.0, 8.0)
for smoothing in (0.0, 0.3):
    call = (lambda e: lambda v: F.cross_entropy(5 * v, labels, weights, label_smoothing=e))
    lost = (call(0.0),) if smoothing else ()
    compare(f"cross_entropy(label_smoothing={smoothing})", call(smoothing), (v,), *lost)

q, k, w = torch.randn(2, 4, 5, 8), torch.randn(2, 4, 6, 8), torch.randn(2, 4, 6, 8)
mask = torch.ones(5, 6, dtype=torch.bool)
mask[2, 3] = False
attention = F.scaled_dot_product_attention
compare("attention, a query that sees 5 of 6", lambda q, k, w: attention(q, k, w, mask), (q, k, w))
blind = mask.clone()
blind[1] = False
mean = (lambda q, k, w: torch.where(blind.any(1)[:, None], attention(q, k, w, blind), w.mean(2, keepdim=True)),)
compare("attention, a query that sees nothing", lambda q, k, w: attention(q, k, w, blind), (q, k, w), *mean)
assert not attention(q, k, w, blind)[:, :, 1].any()
PY
echo "as recorded: PyTorch's exporter drops divisor_override, label_smoothing and the mean of scatter_reduce"
