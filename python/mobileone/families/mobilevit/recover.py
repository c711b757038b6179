"""A MobileViT's configuration from the names and shapes of its tensors alone."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from mobileone.families.family import INFERENCE, MAX_BLOCKS, MAX_STAGES, TRAIN_TIME
from mobileone.util.errors import CheckpointError, Shape, listed

# Tensors whose first axis is what the name says.
_WIDTH = tuple(
    f"{unit}.block.{part}"
    for unit in ("block.red_1x1", "local_rep.conv_3x3", "conv_proj", "fusion")
    for part in ("conv.weight", "conv.bias", "norm.weight")
)
_TRANSFORMER_WIDTH = (
    "local_rep.conv_1x1.block.conv.weight",
    "mha.0.weight",
    "mha.1.out_proj.bias",
    "ffn.4.bias",
)
_FFN_WIDTH = ("ffn.1.weight", "ffn.1.bias")
# Tensors and the axes along which they have the stem's width, and that of the last convolution.
_STEM = {
    "conv_1.block.conv.weight": 0,
    "conv_1.block.conv.bias": 0,
    "conv_1.block.norm.weight": 0,
    "layer_1.0.block.exp_1x1.block.conv.weight": 1,
}
_HEAD = {
    "conv_1x1_exp.block.conv.weight": 0,
    "conv_1x1_exp.block.conv.bias": 0,
    "conv_1x1_exp.block.norm.weight": 0,
    "classifier.fc.weight": 1,
}
_MAX_RATIOS = 64
_BLOCK = re.compile(r"layer_([1-9][0-9]*)\.([0-9]+)\.(.+)")
_TRANSFORMER = re.compile(r"global_rep\.([0-9]+)\.pre_norm_(.+)")
_UNIT = re.compile(r"(.+)\.block\.(?:norm\..+|conv\.bias)")


class _Layer:
    """What the tensors of a layer say. Counters, so that one bad tensor does not lead."""

    def __init__(self) -> None:
        self.depth = 0
        self.width: Counter[int] = Counter()
        self.transformer_width: Counter[int] = Counter()
        self.ffn_width: Counter[int] = Counter()
        self.transformers = 0
        self.has_transformers = False

    def add(self, index: int, part: str, shape: Shape) -> None:
        transformer = _TRANSFORMER.fullmatch(part)
        if part.startswith("block."):
            self.depth = max(self.depth, index + 1)
        else:
            self.has_transformers = True
        if transformer is not None:
            self.transformers = max(self.transformers, int(transformer.group(1)) + 1)
            part = transformer.group(2)
        if not shape:
            return
        if part in _WIDTH:
            self.width[shape[0]] += 1
        elif part in _TRANSFORMER_WIDTH:
            self.transformer_width[shape[0]] += 1
        elif part in _FFN_WIDTH:
            self.ffn_width[shape[0]] += 1

    def missing(self) -> str:
        """The part of which nothing is there; "" if there is something of all."""
        if not self.width:
            return "convolutions"
        if self.has_transformers and not (self.transformer_width and self.ffn_width):
            return "transformers"
        return ""


def recover(shapes: Mapping[str, Shape], source: str) -> dict[str, Any]:
    """What `Family.recover` gives: the form is what most blocks are; num_classes is 0 without a
    classifier, head_width without the last convolution too.
    """
    layers = _layers(shapes, source)
    stem, head = _width(shapes, _STEM), _width(shapes, _HEAD)
    absent = [] if stem else ["conv_1 (the stem)"]
    absent += [f"layer_{n}: {layer.missing()}" for n, layer in layers.items() if layer.missing()]
    if absent or not layers:
        raise CheckpointError(
            f"{source}: nothing of {listed(absent or ['any layer'])} among {len(shapes)} tensors; "
            "expected a whole MobileViT"
        )
    classifier = shapes.get("classifier.fc.weight", ())
    image = shapes.get("conv_1.block.conv.weight", ())
    fused, unfused = _units(shapes)

    def most(counter: Counter[int]) -> int:
        return counter.most_common(1)[0][0] if counter else 0

    return {
        "stem_width": stem,
        "widths": [most(layer.width) for layer in layers.values()],
        "depths": [layer.depth for layer in layers.values()],
        "transformer_widths": [most(layer.transformer_width) for layer in layers.values()],
        "ffn_widths": [most(layer.ffn_width) for layer in layers.values()],
        "transformer_depths": [layer.transformers for layer in layers.values()],
        "expansion": _expansion(shapes),
        "head_width": head,
        "num_classes": classifier[0] if len(classifier) == 2 else 0,
        "in_channels": image[1] if len(image) == 4 else 3,
        "form": INFERENCE if len(fused) > len(unfused) else TRAIN_TIME,
    }


def _width(shapes: Mapping[str, Shape], axes: Mapping[str, int]) -> int:
    """What most of these tensors have along these axes; 0 if there are none."""
    found = Counter(
        shapes[name][axis] for name, axis in axes.items() if len(shapes.get(name, ())) > axis
    )
    return found.most_common(1)[0][0] if found else 0


def _layers(shapes: Mapping[str, Shape], source: str) -> dict[int, _Layer]:
    found: dict[int, _Layer] = {}
    for name, shape in shapes.items():
        match = _BLOCK.fullmatch(name)
        if match is not None:
            number, index, part = int(match.group(1)), int(match.group(2)), match.group(3)
            found.setdefault(number, _Layer()).add(index, part, shape)
    number = max(found, default=0)
    depth = max((max(x.depth, x.transformers) for x in found.values()), default=0)
    if number > MAX_STAGES or depth > MAX_BLOCKS:
        raise CheckpointError(
            f"{source}: {number} layers of up to {depth} blocks; "
            f"expected at most {MAX_STAGES} of {MAX_BLOCKS}"
        )
    tensors = sum(3 * x.depth + 12 * x.transformers for x in found.values())
    if tensors > 4 * len(shapes) + 64:
        # One stray key must not make a small file describe a network of millions of tensors.
        raise CheckpointError(
            f"{source}: its names speak of at least {tensors} tensors, but it has {len(shapes)}"
        )
    return {n: found.get(n, _Layer()) for n in range(1, number + 1)}


def _expansion(shapes: Mapping[str, Shape]) -> float:
    """The roundest expansion that explains the hidden widths of most MobileNetV2 blocks."""
    pairs = Counter(
        shape[:2]
        for name, shape in shapes.items()
        if name.endswith(".exp_1x1.block.conv.weight") and len(shape) == 4 and min(shape[:2]) > 0
    ).most_common(_MAX_RATIOS)
    ranges = [(*_expansions(*pair), number) for pair, number in pairs]

    def agreeing(low: float) -> int:
        return sum(number for start, stop, number in ranges if start <= low < stop)

    best = max((start for start, stop, _ in ranges if start < stop), key=agreeing, default=1.0)
    stop = min((stop for start, stop, _ in ranges if start <= best < stop), default=best)
    for parts in (1, 2, 4, 10, 100, 1000):
        rounded = max(math.ceil(best * parts), 1) / parts
        if rounded < stop:
            return rounded
    return (best + stop) / 2


def _expansions(hidden: int, channels: int) -> tuple[float, float]:
    """From where to where expansions lead from so many channels to so many hidden ones."""
    products = [n for n in range(max(0, hidden - 12), hidden + 5) if _rounded_width(n) == hidden]
    if not products:
        return 0.0, 0.0
    low = products[0] - 0.5 if products[0] else 0.0
    return low / channels, (products[-1] + 0.5) / channels


def _rounded_width(product: int) -> int:
    """The nearest multiple of 8, but at least 8, and not below 90 % (Sandler et al. 2018)."""
    width = max(8, (product + 4) // 8 * 8)
    return width + 8 if width < 0.9 * product else width


def _units(shapes: Mapping[str, Shape]) -> tuple[set[str], set[str]]:
    """Names of convolutions that are fused with their batch norms, and of those that are not."""
    fused: set[str] = set()
    unfused: set[str] = set()
    for name in shapes:
        match = _UNIT.fullmatch(name)
        if match is not None:
            (fused if name.endswith(".conv.bias") else unfused).add(match.group(1))
    return fused, unfused


def half_fused(shapes: Mapping[str, Shape]) -> str:
    """What is wrong where some convolutions are fused with their norms and others not; else ""."""
    fused, unfused = _units(shapes)
    if not (fused and unfused):
        return ""
    few, what = min((fused, "fused"), (unfused, "not fused"), key=lambda x: len(x[0]))
    return (
        f"it is half fused ({len(fused)} convolutions with bias, {len(unfused)} with batch norm; "
        f"{what}: {listed(sorted(few))})"
    )
