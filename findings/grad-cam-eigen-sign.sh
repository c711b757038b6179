#!/usr/bin/env bash
# grad-cam's EigenCAM, and every map with eigen_smooth=True, take the first principal component of the activations and
# cut what is negative. But a component's sign is arbitrary: which half of the picture is shown and which is cut depends
# on details of the decomposition. Reordering the channels of a layer, which changes nothing the network computes, gives
# for half of the pictures what had been cut before: the map marks the object, or everything but the object.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --no-compile numpy==2.4.6 torch==2.13.0 pillow==13.0.0 scikit-learn==1.9.1 \
  matplotlib==3.11.2 opencv-python-headless==5.0.0.93 tqdm==4.70.1
"$dir/venv/bin/pip" install -q --no-compile --no-deps torchvision==0.28.0 ttach==0.0.3 grad-cam==1.5.7
OMP_NUM_THREADS=1 nice -n 10 "$dir/venv/bin/python" -W ignore - <<'PY'
import torch

# torchvision's operators need the CUDA build of PyTorch. The rest of it works with the CPU build once the two
# operators it annotates are declared; neither is called here.
if not hasattr(torch.ops.torchvision, "nms"):
    library = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

import numpy as np
from pytorch_grad_cam import EigenCAM, GradCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import nn

print("grad-cam 1.5.7 / numpy", np.__version__, "/ torch", torch.__version__)
CHANNELS, PICTURES, ORDERS = 32, 16, 8


def network(order):
    """One function for every order of the last layer's channels."""
    torch.manual_seed(0)
    model = nn.Sequential(
        *(nn.Conv2d(3, 16, 3, 2, 1), nn.ReLU(), nn.Conv2d(16, CHANNELS, 3, 2, 1), nn.ReLU()),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(CHANNELS, 10)),
    ).eval()
    with torch.no_grad():
        model[2].weight.copy_(model[2].weight[order])
        model[2].bias.copy_(model[2].bias[order])
        model[6].weight.copy_(model[6].weight[:, order])
    return model


generator = torch.Generator().manual_seed(1)
x = 0.2 * torch.randn(PICTURES, 3, 32, 32, generator=generator)
x[:, :, 4:14, 6:16] += 1  # an object, off the middle
orders = [torch.arange(CHANNELS)] + [torch.randperm(CHANNELS, generator=generator) for _ in range(ORDERS - 1)]
targets = [ClassifierOutputTarget(3)] * PICTURES
scores = network(orders[0])(x).detach()
for name, cam, smooth in (("GradCAM", GradCAM, False), ("EigenCAM", EigenCAM, False), ("GradCAM, eigen_smooth", GradCAM, True)):
    maps = []
    for order in orders:
        model = network(order)
        assert torch.allclose(model(x), scores, atol=1e-5)
        with cam(model, [model[3]]) as explained:
            maps.append(explained(x, targets, eigen_smooth=smooth).reshape(PICTURES, -1))
    alike = np.array([[np.corrcoef(m[i], maps[0][i])[0, 1] for m in maps[1:]] for i in range(PICTURES)])
    turned = (alike < 0).mean()
    print(f"{name:21}: maps correlate with the first order's from {alike.min():.2f} to {alike.max():.2f}, {100 * turned:.0f} % are turned round")
    if name == "GradCAM":
        assert alike.min() > 0.999
    else:
        assert alike.min() < -0.3 and alike.max() > 0.999, "the component's sign is chosen now"
        assert ((alike < -0.3) | (alike > 0.999)).all()  # one or the other, nothing between
PY
echo "as recorded: grad-cam 1.5.7's maps by principal components show one side or the other, by the order of channels"
