#!/usr/bin/env bash
# torchmetrics' binary, multilabel and multiclass metrics take probabilities or logits and tell them apart by their
# values: a call all of whose numbers lie in [0, 1] has probabilities, any other has logits, which pass through sigmoid
# or softmax. That is decided call by call. Logits of a batch that happen to lie in [0, 1] are so taken as they are, in
# the same metric as the other batches' sigmoids: 0.3 is a miss where it is alone, and a hit beside a -0.1. The same
# logits in other batches give another accuracy, AUROC and calibration error; with one picture per call, as on devices
# and in validation at the pictures' own sizes, 30% of the calls are misread here. Sigmoid or softmax before the
# call is the way around. The documentation names the rule, not that the size of a batch so decides.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --no-compile numpy==2.4.6 torch==2.13.0 torchmetrics==1.9.0
OMP_NUM_THREADS=1 nice -n 10 "$dir/venv/bin/python" -W ignore - <<'PY'
import numpy as np
import torch
import torchmetrics
from torchmetrics.classification import BinaryAccuracy, BinaryAUROC, MultilabelAccuracy

print("torchmetrics", torchmetrics.__version__, "/ torch", torch.__version__)
rng = np.random.default_rng(0)
N = 4096
logits = rng.standard_normal(N) * 1.2 + 0.2
truth = rng.random(N) < 1 / (1 + np.exp(-logits))
probabilities = torch.tensor(1 / (1 + np.exp(-logits)))
inside = (logits >= 0) & (logits <= 1)

# By definition: the share on the right side of 0, and the share of pairs in the right order (no two are equal).
accuracy = np.mean((logits > 0) == truth)
ranks = np.argsort(np.argsort(logits)) + 1
hits = truth.sum()
auroc = (ranks[truth].sum() - hits * (hits + 1) / 2) / (hits * (N - hits))
print(f"by definition       accuracy {accuracy:.4f}, AUROC {auroc:.4f}; logits in [0, 1]: {inside.mean():.1%}")


def measured(values, size, kind):
    metric = kind()
    for start in range(0, N, size):
        metric.update(values[start : start + size], torch.tensor(truth[start : start + size]).long())
    return float(metric.compute())


results = {}
for size in (1, 2, 4, 64, N):
    for what, values in (("logits", torch.tensor(logits)), ("probabilities", probabilities)):
        results[what, size] = a, b = measured(values, size, BinaryAccuracy), measured(values, size, BinaryAUROC)
        print(f"{what:13}, {size:4} a call: accuracy {a:.4f}, AUROC {b:.4f}")
        if what == "probabilities" or size >= 64:
            assert abs(a - accuracy) < 1e-6 and abs(b - auroc) < 1e-6

# One a call: what lies in [0, 0.5] is a miss, the rest is right; the AUROC mixes logits and their sigmoids.
mixed = np.where(inside, logits, 1 / (1 + np.exp(-logits)))
assert abs(results["logits", 1][0] - np.mean((mixed > 0.5) == truth)) < 1e-6, "torchmetrics decides otherwise now"
assert results["logits", 1][0] < results["logits", 2][0] < accuracy, "torchmetrics decides otherwise now"
assert auroc - results["logits", 1][1] > 0.02, "torchmetrics decides otherwise now"

# Labels of one picture: its third label is there by its logit, and by torchmetrics if another one's is negative.
label = torch.ones(1, 3, dtype=torch.long)
together = MultilabelAccuracy(3, average="none")(torch.tensor([[0.9, 0.6, -0.1]]), label).tolist()
alone = MultilabelAccuracy(3, average="none")(torch.tensor([[0.9, 0.6, 0.3]]), label).tolist()
beside = MultilabelAccuracy(3, average="none")(torch.tensor([[0.9, -0.1, 0.3]]), label).tolist()
print("labels with logits 0.9, 0.6, 0.3:", alone, "/ 0.9, -0.1, 0.3:", beside, "/ 0.9, 0.6, -0.1:", together)
assert alone == [1, 1, 0] and beside == [1, 0, 1] and together == [1, 1, 0], "torchmetrics decides otherwise now"
PY
echo "as recorded: torchmetrics takes a batch of logits in [0, 1] for probabilities, and its results depend on the batch"
