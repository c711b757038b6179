#!/usr/bin/env bash
# torchao's X86InductorQuantizer, in its default configuration, never makes a weight scale below 2^-12.
# A channel whose largest weight is under 127 / 4096 = 0.031 therefore gets fewer than 8 bits: with weights
# around 0.001 (after batch norm folding no rarity) the int8 values stay within 11 and the convolution is off
# by 7 %, eight times as much as for the same weights scaled up by 1000. No message says so.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --no-compile numpy==2.4.6 torch==2.13.0 torchao==0.18.0
OMP_NUM_THREADS=1 nice -n 10 "$dir/venv/bin/python" -W ignore - 2>"$dir/log" <<'PY' || { tail "$dir/log"; exit 1; }
import torch
import torchao
from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e
from torchao.quantization.pt2e.quantizer import x86_inductor_quantizer as x86

print("torch", torch.__version__, "/ torchao", torchao.__version__)


def quantized(factor):
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Conv2d(8, 8, 1, bias=False)).eval()
    with torch.no_grad():
        module[0].weight.copy_(torch.randn(8, 8, 1, 1) * factor)
    x = torch.randn(1, 8, 6, 6)
    quantizer = x86.X86InductorQuantizer().set_global(x86.get_default_x86_inductor_quantization_config())
    prepared = prepare_pt2e(torch.export.export(module, (x,)).module(), quantizer)
    prepared(x)
    converted = convert_pt2e(prepared)
    weights = [b for n, b in converted.named_buffers() if b.dtype == torch.int8]
    scales = [b for n, b in converted.named_buffers() if b.dtype == torch.float32]
    assert len(weights) == len(scales) == 1
    with torch.no_grad():
        exact = module(x)
        error = (converted(x) - exact).norm() / exact.norm()
    print(
        f"weights around {factor}: scales from {scales[0].min():.3g}, levels in use {weights[0].unique().numel()} "
        f"(largest {weights[0].abs().max()}), output off by {100 * error:.1f} %"
    )
    return scales[0], weights[0], error


scale, weight, error = quantized(1.0)
assert weight.abs().max() >= 127 and error < 0.02
scale, weight, small_error = quantized(0.001)
assert torch.equal(scale, torch.full_like(scale, 2**-12)), "the floor of the scale has changed"
assert weight.abs().max() < 16 and small_error > 3 * error
PY
echo "as recorded: torchao 0.18.0's quantizer for x86 has a floor of 2^-12 under its weight scales"
