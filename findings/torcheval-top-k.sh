#!/usr/bin/env bash
# torcheval's MulticlassAccuracy(k=5) and its function, hit_rate and reciprocal_rank count the classes strictly above
# the target and take fewer than five for a hit. Nothing is above a NaN: a network that has diverged, or whose float16
# overflowed, has a top-5 accuracy of 1.0 and a reciprocal rank of 1. So has one whose logits are all equal, where any
# five of 1000 classes hit 0.5 %, and logits of 8 bits gain 0.7 points, of 5 bits 7: five classes are asked for, more
# are accepted. With k = 1 torcheval takes the argmax, and the same logits give 0.001. Its documentation speaks of the
# number of top probabilities and says nothing of ties. Right is here the mean over all orders of the classes that are
# equal to the target; torch.topk takes five, and scores that.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --no-compile numpy==2.4.6 torch==2.13.0 torcheval==0.0.7
OMP_NUM_THREADS=1 nice -n 10 "$dir/venv/bin/python" -W ignore - <<'PY'
from importlib.metadata import version

import torch
from torcheval.metrics import MulticlassAccuracy
from torcheval.metrics.functional import hit_rate, multiclass_accuracy, reciprocal_rank

print("torcheval", version("torcheval"), "/ torch", torch.__version__)
classes, samples, k = 1000, 4000, 5
target = torch.arange(samples) % classes


def by_hand(own, logits):
    """The chance of a hit where equal classes come in any order; no class equals a NaN, which is a miss."""
    above, equal = (logits > own).sum(1), (logits == own).sum(1)
    return float((((k - above) / equal.clamp(min=1)).clamp(0, 1) * (equal > 0)).mean())


def measure(title, logits):
    metric = MulticlassAccuracy(k=k)
    metric.update(logits, target)
    own = logits.gather(1, target[:, None])
    right = by_hand(own, logits)
    by_topk = float((logits.topk(k).indices == target[:, None]).any(1).float().mean())
    one, five = (float(multiclass_accuracy(logits, target, k=n)) for n in (1, k))
    rank = float(reciprocal_rank(logits, target).mean())
    print(
        f"{title:18} top-5 right {right:.4f}, by torch.topk {by_topk:.4f}, by torcheval {five:.4f} "
        f"(top-1 {one:.4f}, reciprocal rank {rank:.4f})"
    )
    assert abs(float(metric.compute()) - five) < 1e-6, "the class and the function differ now"
    assert abs(float(hit_rate(logits, target, k=k).mean()) - five) < 1e-6, "hit_rate differs now"
    return right, by_topk, five, one, rank


torch.manual_seed(0)
logits = torch.randn(samples, classes)
logits[torch.arange(samples), target] += 2
right, by_topk, five, *_ = measure("float32", logits)
assert abs(right - five) < 1e-6 and abs(right - by_topk) < 1e-6
for bits, gain in ((8, 0.003), (5, 0.03)):
    scale = float(logits.abs().max()) / (2 ** (bits - 1) - 1)
    right, by_topk, five, *_ = measure(f"{bits} bits", (logits / scale).round() * scale)
    assert abs(right - by_topk) < 0.01, "torch.topk takes sides now"
    assert five - right > gain, "ties are shared now"
right, by_topk, five, one, rank = measure("all equal", torch.zeros(samples, classes))
assert abs(right - k / classes) < 1e-6 and abs(by_topk - k / classes) < 1e-3 and one < 0.002
assert five == rank == 1, "equal logits are no hits now"
right, by_topk, five, one, rank = measure("NaN", torch.full((samples, classes), torch.nan))
assert right == 0 and by_topk < 0.01 and one < 0.002
assert five == rank == 1, "NaN is no hit now"
PY
echo "as recorded: torcheval's top-5 accuracy of NaN and of equal logits is 1.0"
