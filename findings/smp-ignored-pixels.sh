#!/usr/bin/env bash
# segmentation_models_pytorch's SoftCrossEntropyLoss and SoftBCEWithLogitsLoss call themselves drop-in replacements of
# PyTorch's. The former's, with pixels of its ignore_index, is the mean over the labelled pixels; theirs divides by all
# pixels. Loss and gradients shrink with the share of labels: where 5% are labelled (scribbles, crops padded to size),
# the step is a twentieth, and a picture weighs in a batch by its labels. The package's own DiceLoss and FocalLoss leave
# ignored pixels out. And SoftCrossEntropyLoss() by its own defaults raises TypeError: smooth_factor=None has no meaning.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --no-compile numpy==2.4.6 torch==2.13.0 pillow==13.0.0 pyyaml==6.0.4 \
  huggingface_hub==2.4.0 safetensors==0.8.0 tqdm==4.70.1
"$dir/venv/bin/pip" install -q --no-compile --no-deps torchvision==0.28.0 timm==1.0.31 segmentation_models_pytorch==0.6.0
OMP_NUM_THREADS=1 nice -n 10 "$dir/venv/bin/python" -W ignore - <<'PY'
import torch
from torch.nn import functional as F

# torchvision's operators need the CUDA build of PyTorch. timm imports the rest of it, which with the CPU build
# works once the two operators it annotates are declared; neither is called here.
if not hasattr(torch.ops.torchvision, "nms"):
    library = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

import segmentation_models_pytorch as smp
from segmentation_models_pytorch.losses import DiceLoss, FocalLoss, SoftBCEWithLogitsLoss, SoftCrossEntropyLoss

print("segmentation_models_pytorch", smp.__version__, "/ torch", torch.__version__)
torch.manual_seed(0)
IGNORE, CLASSES = 255, 5
logits = torch.randn(2, CLASSES, 40, 40, dtype=torch.float64, requires_grad=True)
one = torch.randn(2, 1, 40, 40, dtype=torch.float64, requires_grad=True)


def value(loss, x):
    return loss.item(), torch.autograd.grad(loss, x)[0]


for rows in (40, 20, 4, 2):
    share = rows / 40
    classes, binary = torch.randint(CLASSES, (2, 40, 40)), torch.randint(2, (2, 1, 40, 40)).double()
    classes[:, rows:] = IGNORE
    binary[:, :, rows:] = IGNORE
    said = []
    for smooth in (0.0, 0.1):
        # Written out, over the labelled pixels, and as PyTorch has it.
        log = logits.log_softmax(1)[:, :, :rows].movedim(1, -1)
        target = (1 - smooth) * F.one_hot(classes[:, :rows], CLASSES).double() + smooth / CLASSES
        exact, exact_gradient = value(-(target * log).sum(-1).mean(), logits)
        theirs = F.cross_entropy(logits, classes, ignore_index=IGNORE, label_smoothing=smooth)
        assert abs(theirs.item() - exact) < 1e-9
        loss, gradient = value(SoftCrossEntropyLoss(smooth_factor=smooth, ignore_index=IGNORE)(logits, classes), logits)
        assert abs(loss - share * exact) < 1e-9, "ignored pixels are counted otherwise now"
        assert torch.allclose(gradient, share * exact_gradient, atol=1e-12), "ignored pixels are counted otherwise now"
        said.append(f"{loss / exact:.2f}")
    exact, exact_gradient = value(F.binary_cross_entropy_with_logits(one[:, :, :rows], binary[:, :, :rows]), one)
    loss, gradient = value(SoftBCEWithLogitsLoss(ignore_index=IGNORE)(one, binary), one)
    assert abs(loss - share * exact) < 1e-9, "ignored pixels are counted otherwise now"
    assert torch.allclose(gradient, share * exact_gradient, atol=1e-12), "ignored pixels are counted otherwise now"
    print(f"labelled {share:4.0%}: cross entropy {said[0]} of its value, smoothed {said[1]}, binary {loss / exact:.2f}")
    for kind in (DiceLoss, FocalLoss):
        whole = kind("multiclass", ignore_index=IGNORE)(logits, classes)
        cut = kind("multiclass")(logits[:, :, :rows], classes[:, :rows])
        assert abs(whole - cut) < 1e-6, f"{kind.__name__} has changed"

try:
    SoftCrossEntropyLoss()(logits, torch.randint(CLASSES, (2, 40, 40)))
    raise SystemExit("SoftCrossEntropyLoss() works now")
except TypeError as error:
    print("SoftCrossEntropyLoss() by its defaults:", error)
PY
echo "as recorded: the cross entropies of segmentation_models_pytorch 0.6.0 divide by the ignored pixels, too"
