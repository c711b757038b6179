#!/usr/bin/env bash
# PyTorch's quantized PReLU on CPUs. The slopes are stored as 8-bit numbers of their own scale, and the kernel writes
# the slope 1 of positive inputs in the same scale, where it saturates at the largest slope that can be written. A PReLU
# as it is made (one slope, 0.25) becomes a multiplication by 0.25 of everything, linear, without a word; with a slope
# per channel positive inputs are multiplied by the largest of all. Right where some slope is 1 or more. The same with
# the kernels without vectors, in both memory formats, and by FX's conversion of a whole module.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --no-compile numpy==2.4.6 torch==2.13.0
for capability in default avx2; do
  ATEN_CPU_CAPABILITY=$capability OMP_NUM_THREADS=1 nice -n 10 "$dir/venv/bin/python" -W ignore - <<'PY'
import torch
from torch import nn
from torch.ao.quantization import get_default_qconfig_mapping
from torch.ao.quantization.quantize_fx import convert_fx, prepare_fx
from torch.nn import functional as F

print("torch", torch.__version__, "/", torch.backends.cpu.get_cpu_capability())
SCALE, ZERO = 0.05, 128  # of the result
torch.manual_seed(0)


def eight_bits(slopes):
    scale = (slopes.max() - slopes.min().clamp(max=0)).item() / 255
    return torch.quantize_per_tensor(slopes, scale, round(-slopes.min().clamp(max=0).item() / scale), torch.quint8)


def levels_off(y, exact):
    expected = (exact / SCALE + ZERO).round().clamp(0, 255)
    return (y.int_repr() - expected).abs().max().item()


for slopes in ([0.25], [0.0, 0.1, 0.2, 0.5], [-0.3, 0.1, 0.2, 0.5], [0.1, 0.25, 0.5, 1.0], [0.25, 0.5, 1.0, 2.0]):
    w = eight_bits(torch.tensor(slopes))
    for memory_format in (torch.contiguous_format, torch.channels_last):
        x = (2 * torch.randn(2, 4, 6, 7)).contiguous(memory_format=memory_format)
        x = torch.quantize_per_tensor(x, 0.05, 120, torch.quint8)
        y = torch.ops.quantized.prelu(x, w, SCALE, ZERO)
        exact = F.prelu(x.dequantize().double(), w.dequantize().double())
        # The other hypothesis: the slope of positive inputs is 1, or the largest that can be written if that is less.
        largest = (255 - w.q_zero_point()) * w.q_scale()
        saturated = torch.where(exact > 0, x.dequantize() * min(largest, 1.0), exact)
        saturated = torch.where(x.dequantize() > 0, saturated, exact)
        right, other = levels_off(y, exact), levels_off(y, saturated)
        name = str(memory_format).removeprefix("torch.")
        print(f"slopes {slopes}, {name}: {right:.0f} levels off PReLU, {other:.0f} off the saturated one")
        assert other <= 1, "positive inputs are treated in another way now"
        assert right <= 1 if max(slopes) >= 1 else right > 20, "quantized PReLU is another function now"


def converted(activation):
    module = nn.Sequential(nn.Conv2d(3, 8, 3), activation).eval()
    x = torch.randn(8, 3, 16, 16)
    prepared = prepare_fx(module, get_default_qconfig_mapping("x86"), (x,))
    prepared(x)
    with torch.no_grad():
        exact, y = module(x), convert_fx(prepared)(x)
    return (y - exact).norm() / exact.norm(), y, module[0](x)


error, _, _ = converted(nn.LeakyReLU(0.25))
print(f"a convolution with LeakyReLU(0.25), converted by FX: {100 * error:.1f} % off")
assert error < 0.05
error, y, before = converted(nn.PReLU())
linear = (y - 0.25 * before).norm() / y.norm()
print(f"a convolution with PReLU(), slope 0.25:              {100 * error:.1f} % off; a quarter of the convolution, but for {100 * linear:.1f} %")
assert error > 0.5 and linear < 0.05, "a PReLU is converted in another way now"
PY
done
echo "as recorded: PyTorch's quantized PReLU multiplies positive inputs by the largest slope, too, if below 1"
