#!/usr/bin/env bash
# timm's MobileOne with output_stride=8, for segmentation: the strides of the last stages become 1, but the
# convolutions after them are not dilated. timm's RepVGG, ResNet and MobileNetV2 dilate theirs, so the same
# weights see what they were trained to see, and every 4th pixel of the finer map is the coarse map's pixel.
# MobileOne's are other numbers altogether, from too small a receptive field. The argument is accepted, the
# maps have the size asked for, nothing is said.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --no-compile numpy==2.4.6 torch==2.13.0 pillow==13.0.0 pyyaml==6.0.4
"$dir/venv/bin/pip" install -q --no-compile --no-deps torchvision==0.28.0 timm==1.0.31
OMP_NUM_THREADS=1 nice -n 10 "$dir/venv/bin/python" -W ignore - <<'PY'
import torch

# torchvision's operators need the CUDA build of PyTorch. timm imports the rest of it, which with the CPU build
# works once the two operators it annotates are declared; neither is called here.
if not hasattr(torch.ops.torchvision, "nms"):
    library = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

import timm

print("timm", timm.__version__, "/ torch", torch.__version__)


def compare(name):
    torch.manual_seed(0)
    coarse = timm.create_model(name, num_classes=0).eval()
    fine = timm.create_model(name, num_classes=0, output_stride=8).eval()
    # Norms of the activations met, so that the signal neither grows nor fades with depth.
    picture = torch.randn(2, 3, 128, 128)
    norms = [m for m in coarse.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = None
        norm.train()
    with torch.inference_mode():
        coarse.forward_features(picture)
        coarse.eval()
        fine.load_state_dict(coarse.state_dict())
        a, b = coarse.forward_features(picture), fine.forward_features(picture)
    assert b.shape[-1] == 4 * a.shape[-1] == 16
    dilated = sum(isinstance(m, torch.nn.Conv2d) and max(m.dilation) > 1 for m in fine.modules())
    difference = float((a - b[..., ::4, ::4]).abs().max() / a.abs().max())
    print(f"{name:16} dilated convolutions: {dilated:2}  every 4th pixel differs by {difference:.1e} of the maximum")
    return dilated, difference


for name in ("resnet18", "repvgg_a0", "mobilenetv2_050"):
    dilated, difference = compare(name)
    assert dilated > 0 and difference < 1e-3
dilated, difference = compare("mobileone_s0")
assert dilated == 0 and difference > 0.1, "MobileOne is dilated now"
PY
echo "as recorded: timm's MobileOne takes output_stride and does not dilate"
