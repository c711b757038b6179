#!/usr/bin/env bash
# The weight gradient of a depthwise convolution in float32 on a CPU: PyTorch's oneDNN path adds up all pixels of all
# images of a batch one after the other, so that its error grows with the batch: of positive terms only, where nothing
# cancels, 65536 of them lose a relative 1.1e-5, 185 roundings (AVX-512). PyTorch's own kernel (torch.backends.mkldnn
# disabled) loses 7, and the same sum made image by image 3.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --no-compile numpy==2.4.6 torch==2.13.0
OMP_NUM_THREADS=1 nice -n 10 "$dir/venv/bin/python" -W ignore - <<'PY'
import torch

print("torch", torch.__version__, "/", torch.backends.cpu.get_cpu_capability())
torch.manual_seed(0)
images, channels = 64, 64
x, g = torch.rand(2, images, channels, 32, 32).unbind()


def gradient(x, g):
    """Of the weights of a depthwise 3 x 3 convolution."""
    count = x.shape[1]
    conv = torch.nn.Conv2d(count, count, 3, padding=1, groups=count, bias=False).to(x.dtype)
    conv(x).backward(g)
    return conv.weight.grad.double()


exact = gradient(x.double(), g.double())


def roundings(found):
    return float(((found - exact) / exact).abs().max()) * 2**24


default = roundings(gradient(x, g))
with torch.backends.mkldnn.flags(enabled=False):
    native = roundings(gradient(x, g))
apart = sum(gradient(x[i : i + 1], g[i : i + 1]) for i in range(images))
apart = roundings(apart)
print(f"largest relative error in units of 2^-24, {images} images of 32 x 32:")
print(f"  as it is {default:.1f}, without oneDNN {native:.1f}, image by image {apart:.1f}")
assert default > 10 * native, "oneDNN's sum is no worse than PyTorch's own now"
assert default > 10 * apart
PY
echo "as recorded: oneDNN's depthwise weight gradient in float32 rounds as one long sum over the batch"
