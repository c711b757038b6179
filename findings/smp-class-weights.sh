#!/usr/bin/env bash
# segmentation_models_pytorch's metrics and class_weights, which are divided by their sum. reduction="weighted" adds
# up the weighted scores: 1.0 for a perfect map. "weighted-imagewise" takes their mean, the sum over the number of
# classes: a perfect map of Cityscapes' 19 classes has an IoU of 0.053. "macro" and "macro-imagewise", which by the
# documentation have no weights, do the same once class_weights are given. Every score of the module is concerned.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --no-compile numpy==2.4.6 torch==2.13.0 pillow==13.0.0 pyyaml==6.0.4 \
  huggingface_hub==2.4.0 safetensors==0.8.0 tqdm==4.70.1
"$dir/venv/bin/pip" install -q --no-compile --no-deps torchvision==0.28.0 timm==1.0.31 segmentation_models_pytorch==0.6.0
OMP_NUM_THREADS=1 nice -n 10 "$dir/venv/bin/python" -W ignore - <<'PY'
import numpy as np
import torch

# torchvision's operators need the CUDA build of PyTorch. timm imports the rest of it, which with the CPU build
# works once the two operators it annotates are declared; neither is called here.
if not hasattr(torch.ops.torchvision, "nms"):
    library = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

import segmentation_models_pytorch as smp
from segmentation_models_pytorch.metrics import f1_score, get_stats, iou_score, sensitivity

print("segmentation_models_pytorch", smp.__version__, "/ torch", torch.__version__)
rng = np.random.default_rng(0)


def per_image(predicted, truth, classes):
    """IoU of each class in each picture."""
    both = [[((p == c) & (t == c)).sum() for c in range(classes)] for p, t in zip(predicted, truth)]
    either = [[((p == c) | (t == c)).sum() for c in range(classes)] for p, t in zip(predicted, truth)]
    return np.array(both) / np.array(either)


for classes in (2, 5, 19):
    truth = rng.integers(0, classes, (3, 64, 64))
    noisy = np.where(rng.random(truth.shape) < 0.8, truth, rng.integers(0, classes, truth.shape))
    weights = rng.uniform(0.2, 3, classes)
    shares = weights / weights.sum()
    for name, predicted in (("perfect", truth), ("noisy", noisy)):
        stats = get_stats(torch.tensor(predicted), torch.tensor(truth), mode="multiclass", num_classes=classes)
        scores = per_image(predicted, truth, classes).mean(0)
        exact = {"weighted-imagewise": (scores * shares).sum(), "macro-imagewise": scores.mean()}
        got = {}
        for reduction, right in exact.items():
            got[reduction] = float(iou_score(*stats, reduction=reduction, class_weights=weights.tolist()))
            wrong = (scores * shares).sum() / classes
            assert abs(got[reduction] - wrong) < 1e-5, f"{reduction} has changed"
        unweighted = float(iou_score(*stats, reduction="macro-imagewise"))
        assert abs(unweighted - exact["macro-imagewise"]) < 1e-5
        print(
            f"{classes:2} classes, {name:7}: weighted-imagewise {got['weighted-imagewise']:.3f}, it is "
            f"{exact['weighted-imagewise']:.3f}; macro-imagewise {got['macro-imagewise']:.3f}, it is {unweighted:.3f}"
        )
        if name == "perfect":
            for score in (iou_score, f1_score, sensitivity):
                by = {r: float(score(*stats, reduction=r, class_weights=weights.tolist())) for r in ("weighted", "macro")}
                assert abs(by["weighted"] - 1) < 1e-5
                assert abs(by["macro"] - 1 / classes) < 1e-5, "macro has changed"
PY
echo "as recorded: weighted-imagewise and macro scores of segmentation_models_pytorch 0.6.0 are divided by the classes"
