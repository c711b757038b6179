#!/usr/bin/env bash
# Torch-Pruning removes channels, and what depends on them in later layers, which its graph is to find. It takes
# nn.ChannelShuffle, as ShuffleNet's units have it, and the same written by view and transpose, for operators that
# leave channels in their places: the layer after it loses the weights of other channels than those that are gone.
# Where the number that is left is a multiple of the groups, nothing is said, and the network runs on mixed-up
# channels. Here the channels removed are zero, weights and bias; without them the network is the same function, and
# so it is where a BatchNorm or a PReLU follows. After a shuffle it is another, by the graph and by MagnitudePruner,
# though one pruned by hand at the shuffled places is the same. Its author has said so of ShuffleNet's units in an
# issue; the documentation does not.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --no-compile numpy==2.4.6 torch==2.13.0 torch-pruning==1.6.1
OMP_NUM_THREADS=1 nice -n 10 "$dir/venv/bin/python" -W ignore - <<'PY'
import copy
from importlib.metadata import version

import torch
import torch_pruning as tp
from torch import nn

print("torch-pruning", version("torch-pruning"), "/ torch", torch.__version__)
channels, dead = 16, [1, 5, 9, 13]  # the same place in each of four groups of four


class ByView(nn.Module):
    def forward(self, x):
        n, c, h, w = x.shape
        return x.view(n, 4, c // 4, h, w).transpose(1, 2).reshape(n, c, h, w)


def network(middle):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, channels, 3), nn.ReLU(), middle, nn.Conv2d(channels, 8, 1)).eval()
    with torch.no_grad():
        net[0].weight[dead] = 0
        net[0].bias[dead] = 0
    return net


def by_group(net, x):
    graph = tp.DependencyGraph().build_dependency(net, x)
    graph.get_pruning_group(net[0], tp.prune_conv_out_channels, idxs=list(dead)).prune()


def by_pruner(net, x):
    importance = tp.importance.MagnitudeImportance(group_reduction="first")  # that of the channel's own weights
    tp.pruner.MagnitudePruner(net, x, importance, pruning_ratio=0.25, ignored_layers=[net[3]]).step()


def by_hand(net, x):
    places = net[2](torch.arange(channels).view(1, -1, 1, 1).float()).flatten().long().tolist()
    tp.prune_conv_out_channels(net[0], list(dead))
    tp.prune_conv_in_channels(net[3], [i for i, c in enumerate(places) if c in dead])


x = torch.randn(2, 3, 12, 12)
for title, middle, shuffles in (
    ("Identity", nn.Identity(), False),
    ("BatchNorm2d", nn.BatchNorm2d(channels), False),
    ("PReLU", nn.PReLU(channels), False),
    ("ChannelShuffle", nn.ChannelShuffle(4), True),
    ("view, transpose", ByView(), True),
):
    for prune in (by_group, by_pruner) + ((by_hand,) if shuffles else ()):
        net = network(copy.deepcopy(middle))
        before = net(x).detach()
        prune(net, x)
        after = net(x).detach()
        assert net[0].out_channels == net[3].in_channels == channels - len(dead)
        assert not (net[0].weight == 0).all(3).all(2).all(1).any(), "other channels are removed now"
        difference = float((before - after).abs().max() / before.abs().max())
        print(f"{title:17} {prune.__name__:10} result differs by {difference:.1e} of its maximum")
        if shuffles and prune is not by_hand:
            assert difference > 0.1, "the shuffle is followed now"
        else:
            assert difference < 1e-5, "the network is another one now"
PY
echo "as recorded: Torch-Pruning prunes other channels after a shuffle than before it"
