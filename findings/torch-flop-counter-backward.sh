#!/usr/bin/env bash
# PyTorch's FlopCounterMode and the backward pass of a convolution with groups. The gradient of the weights has as many
# products as the convolution, whatever the groups: each pairs an input pixel with an output pixel of its own group.
# The counter pairs every input channel with every output channel, groups times too many: for a depthwise layer of 96
# channels the backward pass counts as 97 forward passes instead of 2. The forward pass, the gradient of the input and
# convolutions without groups are counted rightly, and so are the same groups written out as convolutions of their own.
# A training step of ResNet-18 comes out right, MobileOne S0's as 3.7, EfficientNet-B0's as 13.9 times what it is.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --no-compile numpy==2.4.6 torch==2.13.0 pillow==13.0.0 pyyaml==6.0.4
"$dir/venv/bin/pip" install -q --no-compile --no-deps torchvision==0.28.0 timm==1.0.31
OMP_NUM_THREADS=1 nice -n 10 "$dir/venv/bin/python" -W ignore - <<'PY'
import numpy as np
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

# torchvision's operators need the CUDA build of PyTorch. timm imports the rest of it, which with the CPU build
# works once the two operators it annotates are declared; neither is called here.
if not hasattr(torch.ops.torchvision, "nms"):
    library = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

import timm

print("torch", torch.__version__, "/ timm", timm.__version__)


class Split(nn.Module):
    """A convolution with groups, as one convolution without groups for each of them."""

    def __init__(self, layer):
        super().__init__()
        n = layer.groups
        kind, step = type(layer), {"stride": layer.stride, "padding": layer.padding, "bias": False}
        self.parts = nn.ModuleList(kind(layer.in_channels // n, layer.out_channels // n, 3, **step) for _ in range(n))
        for part, weight in zip(self.parts, layer.weight.chunk(n)):
            part.weight = nn.Parameter(weight.detach().clone())

    def forward(self, x):
        return torch.cat([f(p) for f, p in zip(self.parts, x.chunk(len(self.parts), 1))], 1)


def counted(net, x):
    """FLOPs of the forward and the backward pass, and the gradients."""
    with FlopCounterMode(display=False) as forward:
        y = net(x)
    with FlopCounterMode(display=False) as backward:
        y.square().sum().backward()
    weights = torch.cat([p.grad.flatten() for p in net.parameters()])
    return forward.get_total_flops(), backward.get_total_flops(), weights


def products(layer, x):
    """Products in the weights' gradient by its definition, in loops over taps: how many, and their sums."""
    (s, _), (p, _), (n, _, height, width) = layer.stride, layer.padding, x.shape
    with torch.enable_grad():
        dy = 2 * layer(x).detach().double().numpy()
    padded = np.pad(x.detach().double().numpy(), ((0, 0), (0, 0), (p, p), (p, p)))
    rows, columns = dy.shape[2:]
    per_in, per_out = layer.in_channels // layer.groups, layer.out_channels // layer.groups
    sums, number = np.zeros(layer.weight.shape), 0
    for o, i, ky, kx in np.ndindex(*layer.weight.shape):
        window = padded[:, o // per_out * per_in + i, ky : ky + s * rows : s, kx : kx + s * columns : s]
        terms = window[:, :rows, :columns] * dy[:, o]
        sums[o, i, ky, kx] = terms.sum()
        number += terms.size
    return number, sums


x = torch.randn(2, 96, 14, 14, generator=torch.manual_seed(0), requires_grad=True)
for stride in (1, 2):
    for groups in (1, 2, 8, 96):
        layer = nn.Conv2d(96, 96, 3, stride, padding=1, groups=groups, bias=False)
        forward, backward, gradient = counted(layer, x)
        number, sums = products(layer, x)
        assert np.allclose(gradient.numpy(), sums.ravel(), rtol=1e-3, atol=1e-3)
        assert forward == 2 * number
        split_forward, split_backward, split_gradient = counted(Split(layer), x)
        assert split_forward == forward and split_backward == 2 * forward
        assert torch.allclose(gradient, split_gradient, rtol=1e-3, atol=1e-3)
        print(f"stride {stride}, {groups:2} groups: backward {backward / forward:4.1f} x forward, written out 2.0 x")
        assert backward == (1 + groups) * forward, "the counter knows groups now"

# The picture takes a gradient, too: each layer then has two gradients of as many products as its forward pass.
EXPECTED = {"resnet18": 1.0, "mobileone_s0": 3.7, "mobilenetv2_100": 6.8, "efficientnet_b0": 13.9}
for name, expected in EXPECTED.items():
    net = timm.create_model(name).train()
    forward, backward, _ = counted(net, torch.randn(2, 3, 224, 224, requires_grad=True))
    over = (forward + backward) / (3 * forward)
    print(f"a training step of {name:15}: {over:5.2f} times what it takes")
    assert abs(over - expected) < 0.05 + 0.05 * (expected > 1), "the counter knows groups now"
PY
echo "as recorded: PyTorch's FlopCounterMode counts the weight gradient of a convolution without its groups"
