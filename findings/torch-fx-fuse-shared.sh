#!/usr/bin/env bash
# torch.fx.experimental.optimization.fuse folds batch norms into convolutions of a traced module. It asks whether
# other nodes read that convolution's result, not whether the same convolution is called a second time, as in a
# head that is shared by the levels of a pyramid: with a norm per level the second norm is folded into weights
# that already hold the first; with one norm after one of two calls, the other call gets the folded weights, too.
# The results are other numbers, nothing is said. A convolution with two readers is left alone, rightly.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --no-compile numpy==2.4.6 torch==2.13.0
OMP_NUM_THREADS=1 nice -n 10 "$dir/venv/bin/python" -W ignore - <<'PY'
import torch
from torch import nn
from torch.fx.experimental.optimization import fuse

print("torch", torch.__version__)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.first, self.second = nn.BatchNorm2d(4), nn.BatchNorm2d(4)
        for norm in (self.first, self.second):
            nn.init.uniform_(norm.running_mean, -1, 1)
            nn.init.uniform_(norm.running_var, 0.5, 2)
            nn.init.uniform_(norm.weight, 0.5, 2)


class Plain(Net):
    def forward(self, x):
        return self.first(self.conv(x))


class TwoReaders(Net):
    def forward(self, x):
        y = self.conv(x)
        return self.first(y) + y


class SharedNormEach(Net):
    def forward(self, x):
        return self.first(self.conv(x)) + self.second(self.conv(x[..., ::2, ::2])).mean()


class SharedOneNorm(Net):
    def forward(self, x):
        return self.first(self.conv(x)) + self.conv(x[..., ::2, ::2]).mean()


torch.manual_seed(0)
x = torch.randn(2, 3, 8, 8)
for kind, right in ((Plain, True), (TwoReaders, True), (SharedNormEach, False), (SharedOneNorm, False)):
    net = kind().eval()
    with torch.no_grad():
        expected = net(x)
        found = fuse(net)(x)
    difference = float((expected - found).abs().max() / expected.abs().max())
    print(f"{kind.__name__:15} fused result differs by {difference:.1e} of the maximum")
    assert (difference < 1e-5) == right, "fuse treats this otherwise now"
PY
echo "as recorded: torch.fx's fuse folds norms into a convolution that is called twice"
