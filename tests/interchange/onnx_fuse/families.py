"""Families of re-parameterizable networks: timm's, and blocks written here after their papers.

    python -m interchange.onnx_fuse.families             # from tests/: every one, in its own size
    python -m interchange.onnx_fuse.families repvit dbb  # some
    python -m interchange.onnx_fuse.families --files FOLDER repvit   # and keep the files, untimed
    python -m interchange.onnx_fuse.families --time FOLDER           # that are there: time alone

Each is exported with seeded weights in its train-time form and, where its authors give one, in the
form that they fuse it to. Our fused file has no more parameters than theirs, the same as when
theirs is fused by us, and ONNX Runtime takes the printed share of its time, interleaved.
"""

from __future__ import annotations

import argparse
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import mobileone
import numpy as np
import onnx
import torch
from torch import nn

from .graphs import kinds, parameters, session


class Family(NamedTuple):
    """How a network is made, small and in its own size; and the image size that it takes."""

    make: Callable[[Any, bool], nn.Module]
    size: int = 64
    small_size: int = 64


class Sum(nn.Module):
    """Branches of one input, added, then what follows."""

    def __init__(self, *branches: nn.Module, after: nn.Module | None = None):
        super().__init__()
        self.branches = nn.ModuleList(branches)
        self.after = nn.ReLU() if after is None else after

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        total = self.branches[0](x)
        for branch in self.branches[1:]:
            total = total + branch(x)
        return self.after(total)


def conv(c: int, d: int, k: Any, *, p: Any = None, norm: bool = True, **options: Any) -> nn.Module:
    size = (k, k) if isinstance(k, int) else k
    dilation = options.get("dilation", 1)
    padding = tuple(n // 2 * dilation for n in size) if p is None else p
    layer = nn.Conv2d(c, d, size, padding=padding, bias=not norm, **options)
    return nn.Sequential(layer, nn.BatchNorm2d(d)) if norm else layer


def repeated(block: Callable[[int], nn.Module]) -> Callable[[Any, bool], nn.Module]:
    """A stem and blocks of so many channels."""

    def make(timm: Any, small: bool) -> nn.Module:
        c, count = (8, 1) if small else (48, 4)
        return nn.Sequential(conv(3, c, 3, stride=2), nn.ReLU(), *(block(c) for _ in range(count)))

    return make


def dbb(c: int) -> nn.Module:
    """Ding et al. 2021; the padding of its 1x1 -> 3x3 and 1x1 -> pooling comes before the 1x1."""
    return Sum(
        conv(c, c, 3),
        conv(c, c, 1),
        nn.Sequential(conv(c, c, 1, p=1), conv(c, c, 3, p=0)),
        nn.Sequential(conv(c, c, 1, p=1), nn.AvgPool2d(3, 1), nn.BatchNorm2d(c)),
    )


def acnet(c: int) -> nn.Module:
    """Ding et al. 2019."""
    return Sum(conv(c, c, 3), conv(c, c, (3, 1)), conv(c, c, (1, 3)))


def replknet(c: int) -> nn.Module:
    """Ding et al. 2022."""
    return Sum(conv(c, c, 13, groups=c), conv(c, c, 5, groups=c))


def unireplknet(c: int) -> nn.Module:
    """Ding et al. 2023: dilated branches; the sum is normalised branch by branch."""
    parts = [(13, 1), (5, 1), (7, 2), (3, 3), (3, 4), (3, 5)]
    return Sum(*(conv(c, c, k, groups=c, dilation=d) for k, d in parts))


def repconv(c: int) -> nn.Module:
    """YOLOv6's and YOLOv7's."""
    return Sum(conv(c, c, 3), conv(c, c, 1), nn.BatchNorm2d(c), after=nn.SiLU())


def qarepvgg(c: int) -> nn.Module:
    """Chu et al. 2022: one norm after the sum, none of the 1x1 and the identity."""
    after = nn.Sequential(nn.BatchNorm2d(c), nn.ReLU())
    return Sum(conv(c, c, 3), conv(c, c, 1, norm=False), nn.Identity(), after=after)


def mobileone_block(c: int) -> nn.Module:
    """With several branches of one kind."""
    parts = [conv(c, c, 3, groups=c) for _ in range(4)]
    return Sum(*parts, conv(c, c, 1, groups=c), nn.BatchNorm2d(c))


def edbb(c: int) -> nn.Module:
    """ECBSR's, Zhang et al. 2021: 1x1 -> Sobel and Laplace filters per channel."""
    filters = []
    for taps in ([[1, 0, -1], [2, 0, -2], [1, 0, -1]], [[0, 1, 0], [1, -4, 1], [0, 1, 0]]):
        layer = nn.Conv2d(c, c, 3, groups=c)
        layer.weight.data = torch.tensor(taps).float().expand(c, 1, 3, 3) * torch.rand(c, 1, 1, 1)
        filters.append(nn.Sequential(nn.Conv2d(c, c, 1, padding=1), layer))
    expand = nn.Sequential(nn.Conv2d(c, 2 * c, 1, padding=1), nn.Conv2d(2 * c, c, 3))
    return Sum(conv(c, c, 3, norm=False), expand, *filters, nn.Identity(), after=nn.PReLU(c))


def timm_net(name: str, size: int = 64, small_size: int = 64, **small: Any) -> Family:
    def make(timm: Any, is_small: bool) -> nn.Module:
        return timm.create_model(name, **(small if is_small else {}))

    return Family(make, size, small_size)


FAMILIES = {
    "dbb": Family(repeated(dbb)),
    "acnet": Family(repeated(acnet)),
    "replknet": Family(repeated(replknet)),
    "unireplknet": Family(repeated(unireplknet)),
    "repconv": Family(repeated(repconv)),
    "qarepvgg": Family(repeated(qarepvgg)),
    "mobileone": timm_net("mobileone_s0"),
    "mobileone block": Family(repeated(mobileone_block)),
    "ecbsr": Family(repeated(edbb)),
    "repvgg": timm_net("repvgg_a0"),
    "repvit": timm_net("repvit_m0_9", embed_dim=(8, 16), depth=(2, 2), distillation=True),
    "repghost": timm_net("repghostnet_050"),
    "fastvit": timm_net("fastvit_t8"),
    "mobileclip": timm_net("fastvit_mci0", 256),
    "ghostnetv3": timm_net("ghostnetv3_050"),
    "mobilenetv4": timm_net("mobilenetv4_conv_small"),
    "efficientformerv2": timm_net("efficientformerv2_s0", 224),
    "swiftformer": timm_net("swiftformer_xs", 224),
    "shvit": timm_net("shvit_s1", 224),
    "starnet": timm_net("starnet_s1"),
    "tinyvit": timm_net("tiny_vit_5m_224", 224),
    "levit": timm_net("levit_128s", 224),
    "efficientvit": timm_net("efficientvit_b0", 224),
    "efficientvit (Microsoft's)": timm_net("efficientvit_m0", 224),
    "hgnetv2": timm_net("hgnetv2_b0", 224),
    "pp-lcnet": timm_net("lcnet_050"),
}


class Outcome(NamedTuple):
    """A fused network's files: as trained, by us, by its authors, and theirs by us."""

    fusion: Any
    fused: onnx.ModelProto
    authors: onnx.ModelProto
    both: onnx.ModelProto


def export(module: nn.Module, path: Path, size: int, dynamo: bool = False) -> None:
    image = torch.randn(1, 3, size, size)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        options = {"verbose": False} if dynamo else {"opset_version": 17}
        torch.onnx.export(module.eval(), (image,), path, dynamo=dynamo, **options)


def fuse_family(name: str, folder: Path, *, small: bool, dynamo: bool = False) -> Outcome:
    from checkpoint.timm_models import deployed, import_timm

    family = FAMILIES[name]
    torch.manual_seed(0)
    module = family.make(import_timm(), small)
    for child in module.modules():
        if isinstance(child, nn.modules.batchnorm._BatchNorm):
            child.running_mean.normal_(0, 0.1)
            child.running_var.uniform_(0.7, 1.3)
            child.weight.data.uniform_(0.7, 1.3)
            child.bias.data.normal_(0, 0.1)
    size = family.small_size if small else family.size
    paths = [folder / f"{kind}.onnx" for kind in ("trained", "fused", "authors", "both")]
    export(module, paths[0], size, dynamo)
    fusion = mobileone.fuse_onnx(paths[0], paths[1])
    export(deployed(module), paths[2], size, dynamo)
    mobileone.fuse_onnx(paths[2], paths[3], run=False)
    return Outcome(fusion, *(onnx.load(path) for path in paths[1:]))


def share_of_time(folder: Path, rounds: int = 40) -> float:
    """Of our file to the authors' in ONNX Runtime: the ratio of minima, interleaved in turns."""
    sessions = [session(folder / f"{kind}.onnx") for kind in ("fused", "authors")]
    best = [np.inf, np.inf]
    for turn in range(rounds):
        for index in (0, 1) if turn % 2 else (1, 0):
            run = sessions[index]
            given = run.get_inputs()[0]
            x = {given.name: np.ones(given.shape, np.float32)}
            start = time.perf_counter()
            run.run(None, x)
            best[index] = min(best[index], time.perf_counter() - start)
    return float(best[0] / best[1])


def main(names: list[str], *, dynamo: bool = False, files: Path | None = None) -> None:
    for name in names or FAMILIES:
        with kept(files, name) as folder:
            outcome = fuse_family(name, Path(folder), small=False, dynamo=dynamo)
            fusion = outcome.fusion
            ours, theirs, both = map(parameters, outcome[1:])
            nodes = [len(model.graph.node) for model in outcome[1:3]]
            print(
                f"{name}: {'equivalent' if fusion else 'DIFFERENT'}; {len(fusion.regions)} regions;"
                f" nodes {fusion.nodes[0]} -> {nodes[0]} (theirs {nodes[1]}); parameters"
                f" {fusion.parameters[0]} -> {ours} (theirs {theirs}, by us {both});"
                f" worst {max((row.ratio for row in fusion.rows), default=0):.2g} of its bound;"
                f" time {share_of_time(Path(folder)) if files is None else np.nan:.2f} of theirs;"
                f" {fusion.runtime}",
                flush=True,
            )
            if ours > theirs or ours != both or not fusion:
                print("   ", kinds(outcome.fused), kinds(outcome.authors), kinds(outcome.both))
                print("   ", [row for row in fusion.rows if not row.ok])


@contextmanager
def kept(files: Path | None, name: str) -> Iterator[str]:
    """A folder for a family's files, which go where none is given."""
    if files is None:
        with tempfile.TemporaryDirectory() as folder:
            yield folder
    else:
        (files / name).mkdir(parents=True, exist_ok=True)
        yield str(files / name)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*")
    parser.add_argument("--dynamo", action="store_true")
    parser.add_argument("--files", type=Path)
    parser.add_argument("--time", type=Path)
    told = parser.parse_args()
    if told.time is None:
        main(told.names, dynamo=told.dynamo, files=told.files)
    else:
        for place in sorted(told.time.iterdir()):
            print(f"{place.name}: time {share_of_time(place):.2f} of theirs", flush=True)
