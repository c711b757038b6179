#!/usr/bin/env bash
# grad-cam on a CPU where the layer to explain is followed by an activation in place, as the norms of torchvision's
# MobileNetV2 are. It keeps a view of the layer's output, which ReLU6(inplace=True) then overwrites, and weighs that
# with the gradient of the output as it was: a map that belongs to no layer. The same network with inplace=False gives
# another map. Captum's LayerGradCam is right for both. (Not tried on GPUs, where the output is copied to the CPU.)
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --no-compile numpy==2.4.6 torch==2.13.0 pillow==13.0.0 scikit-learn==1.9.1 \
  matplotlib==3.11.2 opencv-python-headless==5.0.0.93 tqdm==4.70.1
"$dir/venv/bin/pip" install -q --no-compile --no-deps torchvision==0.28.0 ttach==0.0.3 grad-cam==1.5.7 captum==0.9.0
OMP_NUM_THREADS=1 nice -n 10 "$dir/venv/bin/python" -W ignore - <<'PY'
import torch

# torchvision's operators need the CUDA build of PyTorch. The rest of it works with the CPU build once the two
# operators it annotates are declared; neither is called here.
if not hasattr(torch.ops.torchvision, "nms"):
    library = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

import captum
import numpy as np
from captum.attr import LayerGradCam
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import nn
from torchvision.models import mobilenet_v2

print("grad-cam 1.5.7 / captum", captum.__version__, "/ torch", torch.__version__)
CLASS = 3
x = torch.randn(2, 3, 96, 96, generator=torch.Generator().manual_seed(1))


def network(inplace):
    """MobileNetV2 with random weights and statistics, and its last norm, which ReLU6 follows."""
    torch.manual_seed(0)
    model = mobilenet_v2(num_classes=10)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1.0
        if isinstance(module, nn.ReLU6):
            assert module.inplace  # as torchvision makes it
            module.inplace = inplace
    with torch.no_grad():
        model(torch.randn(8, 3, 96, 96))  # the statistics
        model.classifier[1].weight.normal_(0.01, 0.02)  # mostly positive: a map that the cut leaves something of
    return model.eval(), model.features[-1][1]


def by_hand():
    """The map by its definition: the layer's output and its gradient, kept apart from what follows."""
    model, layer = network(inplace=False)
    kept = []
    handle = layer.register_forward_hook(lambda _, __, y: kept.append(y))
    score = model(x)[:, CLASS].sum()
    handle.remove()
    weights = torch.autograd.grad(score, kept[0])[0].mean((2, 3), keepdim=True)
    return (weights * kept[0]).sum(1).detach().numpy()


def scaled(maps):
    maps = np.maximum(maps, 0)
    maps = maps - maps.min((1, 2), keepdims=True)
    return maps / (maps.max((1, 2), keepdims=True) + 1e-7)


exact = scaled(by_hand())
for inplace in (False, True):
    model, layer = network(inplace)
    explained = GradCAM(model, [layer])
    explained(x, [ClassifierOutputTarget(CLASS)] * 2)
    kept = explained.activations_and_grads
    values = [kept.activations[0].numpy(), kept.gradients[0].numpy()]
    maps = scaled(explained.get_cam_image(x, layer, None, *values, False))  # before it is enlarged to the picture's size
    other = scaled(LayerGradCam(model, layer).attribute(x, CLASS).detach().numpy()[:, 0])
    found = [np.abs(a - exact).max() for a in (maps, other)]
    lowest = values[0].min()
    print(f"ReLU6(inplace={inplace}): off by {found[0]:.2g} of 1, Captum by {found[1]:.2g}; lowest value of the norm {lowest:.2f}")
    assert found[0] > 0.1 if inplace else found[0] < 1e-4, "grad-cam keeps the activation in another way now"
    assert found[1] < 1e-4
PY
echo "as recorded: grad-cam 1.5.7 takes the activation that a layer in place has overwritten"
