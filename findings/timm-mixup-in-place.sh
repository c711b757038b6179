#!/usr/bin/env bash
# timm's FastCollateMixup mixes pictures while it collates a batch. In the modes "batch" and "elem" it copies a
# picture before it pastes another's rectangle into it (CutMix); in "pair" and "half" it does not, and pastes into
# the array that the data set has returned. A data set that holds its pictures as arrays or tensors and returns them,
# or views of them (flips, crops), is spoiled for good: each epoch exchanges more of their pixels, the labels stay, and
# no target speaks of the pixels pasted in epochs before; with CutMix and Mixup at once, too. A loader's workers spoil
# their own copies, which end with the epoch unless they are persistent. Data sets that decode a file anew each time
# are not touched, and neither is any by timm.data.Mixup, which gets a batch of its own.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --no-compile numpy==2.4.6 torch==2.13.0 pillow==13.0.0 pyyaml==6.0.4
"$dir/venv/bin/pip" install -q --no-compile --no-deps torchvision==0.28.0 timm==1.0.31
OMP_NUM_THREADS=1 nice -n 10 "$dir/venv/bin/python" -W ignore - <<'PY'
import numpy as np
import torch

# torchvision's operators need the CUDA build of PyTorch. timm imports the rest of it, which with the CPU build
# works once the two operators it annotates are declared; neither is called here.
if not hasattr(torch.ops.torchvision, "nms"):
    library = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

import timm
from timm.data.mixup import FastCollateMixup

print("timm", timm.__version__, "/ torch", torch.__version__)
classes, size, epochs = 64, 32, 5


def spoiled(mode, as_tensor, **alphas):
    """The share of the data set's pixels that are another class's, and the largest error of a target, by epoch."""
    np.random.seed(0)
    torch.manual_seed(0)
    # All pixels of a picture are its label, so that pictures say what they are made of.
    pictures = np.broadcast_to(np.arange(classes, dtype=np.uint8)[:, None, None, None], (classes, 3, size, size))
    pictures = pictures.copy()
    data = [(torch.from_numpy(x) if as_tensor else x, i) for i, x in enumerate(pictures)]
    collate = FastCollateMixup(mode=mode, num_classes=classes, label_smoothing=0.0, **alphas)
    loader = torch.utils.data.DataLoader(data, 16, shuffle=True, collate_fn=collate)
    share, errors = [], []
    for _ in range(epochs):
        error = 0.0
        for x, y in loader:
            if not alphas.get("mixup_alpha"):  # the pixels' own classes, where they are not mixed
                held = torch.nn.functional.one_hot(x[:, 0].long(), classes).float().mean((1, 2))
                error = max(error, float((held - y).abs().max()))
        errors.append(error)
        share.append(float((pictures != np.arange(classes)[:, None, None, None]).mean()))
    return share, errors


for title, as_tensor, alphas in (
    ("CutMix, arrays", False, {"mixup_alpha": 0.0, "cutmix_alpha": 1.0}),
    ("CutMix, tensors", True, {"mixup_alpha": 0.0, "cutmix_alpha": 1.0}),
    ("both, arrays", False, {"mixup_alpha": 0.8, "cutmix_alpha": 1.0}),
    ("Mixup, arrays", False, {"mixup_alpha": 0.8, "cutmix_alpha": 0.0}),
):
    for mode in ("batch", "elem", "pair", "half"):
        share, errors = spoiled(mode, as_tensor, **alphas)
        print(
            f"{title:15} mode {mode:5}: wrong pixels in the data set after epochs 1 to {epochs}:",
            *(f"{s:5.1%}" for s in share),
            "" if alphas["mixup_alpha"] else " targets off by " + " ".join(f"{e:.2f}" for e in errors),
        )
        if mode in ("pair", "half") and alphas["cutmix_alpha"]:
            assert share[0] > 0.05 and share[-1] > 0.3, f"{mode} copies now"
            if not alphas["mixup_alpha"]:
                assert errors[-1] > 0.3, f"{mode}'s targets are right now"
        else:
            assert max(share) == 0 and max(errors) < 1e-5, f"{mode} spoils the data set now"
PY
echo "as recorded: timm's FastCollateMixup pastes into the data set in the modes pair and half"
