"""MobileOne's tensors by name, written down a second time, to test loading against.

Nothing here is taken from the library: names and shapes follow the description of the networks.
`tensor_shapes` and `renamed` take the configurations of `OTHERS` too.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from . import mobilevit_networks

Shape = tuple[int, ...]

# Per layout: stem, block (stage s from 1, index j), conv branch, batch norm inside it, scale
# branch, its norm, skip, SE squeeze and expand, fused convolution, classifier.
LAYOUT_WORDS = {
    "apple": (
        "stage0", lambda s, j: f"stage{s}.{j}", "rbr_conv.{n}.conv", "rbr_conv.{n}.bn",
        "rbr_scale.conv", "rbr_scale.bn", "rbr_skip", "se.reduce", "se.expand", "reparam_conv",
        "linear",
    ),
    "timm": (
        "stem", lambda s, j: f"stages.{s - 1}.{j}", "conv_kxk.{n}.conv", "conv_kxk.{n}.bn",
        "conv_scale.conv", "conv_scale.bn", "identity", "attn.fc1", "attn.fc2", "reparam_conv",
        "head.fc",
    ),
    "mmpretrain": (
        "backbone.stage0", lambda s, j: f"backbone.stage{s}.{j}", "branch_conv_list.{n}.conv",
        "branch_conv_list.{n}.norm", "branch_scale.conv", "branch_scale.norm", "branch_norm",
        "se.conv1.conv", "se.conv2.conv", "branch_reparam", "head.fc",
    ),
    "cvnets": (
        "conv_1", lambda s, j: f"layer_{s + 1}.{j}", "rbr_conv.{n}.block.conv",
        "rbr_conv.{n}.block.norm", "rbr_scale.block.conv", "rbr_scale.block.norm", "rbr_skip",
        "se.se_layer.fc1.block.conv", "se.se_layer.fc2.block.conv", "reparam_conv",
        "classifier.classifier_fc",
    ),
    "jahongir7174": (
        "p1", lambda s, j: f"p{s + 1}.{j}", "rbr_conv.{n}.conv", "rbr_conv.{n}.bn",
        "rbr_scale.conv", "rbr_scale.bn", "rbr_skip", "se.se.1", "se.se.3", "fused_conv", "fc.2",
    ),
    "birder": (
        "stem", lambda s, j: f"body.stage{s}.{j}", "rbr_conv.{n}.conv", "rbr_conv.{n}.bn",
        "rbr_scale.conv", "rbr_scale.bn", "rbr_skip", "se.fc1", "se.fc2", "reparam_conv",
        "classifier",
    ),
}  # fmt: skip

_S4_SE = {f"stage3.{j}": 56 for j in range(10, 20)} | {"stage4.0": 56, "stage4.1": 128}


def _config(
    widths: list[int], branches: int, depths: list[int], se: dict[str, int]
) -> dict[str, Any]:
    return {
        "stem_width": min(64, widths[0]),
        "widths": widths,
        "depths": depths,
        "num_conv_branches": branches,
        "se_widths": se,
        "num_classes": 1000,
        "in_channels": 3,
        "form": "train-time",
    }


CONFIGS = {
    "mobileone_s0": _config([48, 128, 256, 1024], 4, [2, 8, 10, 1], {}),
    "mobileone_s1": _config([96, 192, 512, 1280], 1, [2, 8, 10, 1], {}),
    "mobileone_s2": _config([96, 256, 640, 2048], 1, [2, 8, 10, 1], {}),
    "mobileone_s3": _config([128, 320, 768, 2048], 1, [2, 8, 10, 1], {}),
    "mobileone_s4": _config([192, 448, 896, 2048], 1, [2, 8, 10, 1], _S4_SE),
    "mobileone_mu0": _config([48, 64, 128, 384], 3, [2, 4, 6, 1], {}),
    "mobileone_mu1": _config([48, 96, 192, 512], 2, [2, 6, 8, 1], {}),
    "mobileone_mu2": _config([48, 128, 256, 512], 2, [2, 6, 8, 1], {}),
}
# A network small enough to write to disk hundreds of times, with every kind of tensor in it.
TINY = _config([8, 12, 20], 2, [2, 3, 1], {"stage2.4": 3, "stage2.5": 3, "stage3.1": 5}) | {
    "num_classes": 7,
    "in_channels": 4,
}


# The same of other architectures, each of which describes its networks in a module of its own.
OTHERS = {"mobilevit": mobilevit_networks}

# Every layout with a small network of its architecture.
TINY_CASES = [(layout, TINY) for layout in LAYOUT_WORDS] + [
    (layout, other.TINY) for other in OTHERS.values() for layout in other.LAYOUT_WORDS
]
TINY_IDS = [f"{layout}-{config.get('architecture', 'mobileone')}" for layout, config in TINY_CASES]


def tensor_shapes(config: Mapping[str, Any], layout: str | None = None) -> dict[str, Shape]:
    """Name -> shape of every tensor, named as the layout names it; by default the canonical one."""
    other = OTHERS.get(config.get("architecture"))
    if other is not None:
        return other.tensor_shapes(config, layout or next(iter(other.LAYOUT_WORDS)))
    stem, block, *words = LAYOUT_WORDS[layout or "apple"]
    classifier = words.pop()
    shapes: dict[str, Shape] = {}
    width = config["stem_width"]
    _block(shapes, stem, words, config, (width, config["in_channels"], 3), 1, False, 0)
    for s, (out, depth) in enumerate(zip(config["widths"], config["depths"], strict=True), 1):
        for j in range(2 * depth):
            se = config["se_widths"].get(f"stage{s}.{j}", 0)
            kernel = (width, 1, 3) if j % 2 == 0 else (out, width, 1)
            skip = j > 0 if j % 2 == 0 else out == width
            k = config["num_conv_branches"]
            _block(shapes, block(s, j), words, config, kernel, k, skip, se)
            width = kernel[0]
    if config["num_classes"]:
        shapes[f"{classifier}.weight"] = (config["num_classes"], width)
        shapes[f"{classifier}.bias"] = (config["num_classes"],)
    return shapes


def _norm(shapes: dict[str, Shape], name: str, channels: int) -> None:
    for part in ("weight", "bias", "running_mean", "running_var"):
        shapes[f"{name}.{part}"] = (channels,)
    shapes[f"{name}.num_batches_tracked"] = ()


def _block(
    shapes: dict[str, Shape],
    prefix: str,
    words: list[str],
    config: Mapping[str, Any],
    kernel: tuple[int, int, int],
    branches: int,
    skip: bool,
    se: int,
) -> None:
    out, inner, size = kernel
    conv, norm, scale, scale_norm, identity, squeeze, expand, fused = (
        f"{prefix}.{w}" for w in words
    )
    if se:
        shapes |= {f"{squeeze}.weight": (se, out, 1, 1), f"{squeeze}.bias": (se,)}
        shapes |= {f"{expand}.weight": (out, se, 1, 1), f"{expand}.bias": (out,)}
    if config["form"] == "inference":
        shapes |= {f"{fused}.weight": (out, inner, size, size), f"{fused}.bias": (out,)}
        return
    if skip:
        _norm(shapes, identity, out)
    if size > 1:
        shapes[f"{scale}.weight"] = (out, inner, 1, 1)
        _norm(shapes, scale_norm, out)
    for n in range(branches):
        shapes[f"{conv.format(n=n)}.weight"] = (out, inner, size, size)
        _norm(shapes, norm.format(n=n), out)


def fused(config: Mapping[str, Any]) -> dict[str, Any]:
    """The same network in inference form."""
    return {**config, "form": "inference"}


def tensors(shapes: Mapping[str, Shape], seed: int = 0) -> dict[str, np.ndarray]:
    """Seeded float32 values; variances positive, batch counts distinct int64 scalars."""
    rng = np.random.default_rng(seed)
    state: dict[str, np.ndarray] = {}
    for name, shape in shapes.items():
        if name.endswith("num_batches_tracked"):
            state[name] = np.array(len(state), np.int64)
        elif name.endswith("running_var"):
            state[name] = rng.uniform(0.5, 2, shape).astype(np.float32)
        else:
            state[name] = rng.standard_normal(shape, np.float32) / math.sqrt(
                math.prod(shape[1:]) or 1
            )
    return state


def renamed(state: Mapping[str, Any], config: Mapping[str, Any], layout: str) -> dict[str, Any]:
    """A canonical state dict under a layout's names, by position in the two independent lists."""
    other = OTHERS.get(config.get("architecture"))
    if other is not None:
        return other.renamed(state, config, layout)
    names = zip(tensor_shapes(config), tensor_shapes(config, layout), strict=True)
    return {own: state[canonical] for canonical, own in names}


def without_values(config: dict, layout: str = "cvnets") -> dict[str, np.ndarray]:
    """Zeros of the right shapes that take no memory."""
    return {
        name: np.broadcast_to(np.float32(0), shape)
        if not name.endswith("tracked")
        else np.array(1, np.int64)
        for name, shape in tensor_shapes(config, layout).items()
    }


def module_of(state: dict[str, Any]) -> torch.nn.Module:
    """A module with these tensors under these names."""
    root = torch.nn.Module()
    for name, tensor in state.items():
        *path, leaf = name.split(".")
        parent = root
        for part in path:
            if part not in dict(parent.named_children()):
                parent.add_module(part, torch.nn.Module())
            parent = getattr(parent, part)
        parent.register_buffer(leaf, tensor)
    return root
