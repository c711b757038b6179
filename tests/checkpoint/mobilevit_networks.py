"""MobileViT's tensors by name, written down a second time, to test loading against.

Nothing here is taken from the library: names and shapes follow the description of the networks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

Shape = tuple[int, ...]


class Words(NamedTuple):
    """How a layout calls the parts; `{l}` is a layer from 1, `{k}` from 0, `{j}` a block in it."""

    stem: str
    residual: str
    residual_parts: tuple[str, str, str]
    block: str
    local: str
    local_1x1: str
    transformer: str
    attention: tuple[str, ...]
    norms_and_ffn: tuple[str, str, str, str]
    last_norm: str
    projection: str
    fusion: str
    expansion: str
    classifier: str
    conv: str
    norm: str


LAYOUT_WORDS = {
    "cvnets": Words(
        "conv_1.block", "layer_{l}.{j}.block", ("exp_1x1.block", "conv_3x3.block", "red_1x1.block"),
        "layer_{l}.{j}", "local_rep.conv_3x3.block", "local_rep.conv_1x1.block.conv",
        "global_rep.{t}", ("pre_norm_mha.1.qkv_proj", "pre_norm_mha.1.out_proj"),
        ("pre_norm_mha.0", "pre_norm_ffn.0", "pre_norm_ffn.1", "pre_norm_ffn.4"),
        "global_rep.{t}", "conv_proj.block", "fusion.block", "conv_1x1_exp.block", "classifier.fc",
        "conv", "norm",
    ),
    "timm": Words(
        "stem", "stages.{k}.{j}", ("conv1_1x1", "conv2_kxk", "conv3_1x1"), "stages.{k}.{j}",
        "conv_kxk", "conv_1x1", "transformer.{t}", ("attn.qkv", "attn.proj"),
        ("norm1", "norm2", "mlp.fc1", "mlp.fc2"), "norm", "conv_proj", "conv_fusion",
        "final_conv", "head.fc", "conv", "bn",
    ),
    "mmpretrain": Words(
        "backbone.stem", "backbone.layers.{k}.{j}.conv", ("0", "1", "2"), "backbone.layers.{k}.{j}",
        "local_rep.0", "local_rep.1.conv", "global_rep.{t}", ("attn.qkv", "attn.proj"),
        ("ln1", "ln2", "ffn.layers.0.0", "ffn.layers.1"), "global_rep.{t}", "conv_proj",
        "conv_fusion", "backbone.conv_1x1_exp", "head.fc", "conv", "bn",
    ),
    "transformers": Words(
        "mobilevit.conv_stem", "mobilevit.encoder.layer.{k}.{in_layer}",
        ("expand_1x1", "conv_3x3", "reduce_1x1"), "mobilevit.encoder.layer.{k}", "conv_kxk",
        "conv_1x1.convolution", "transformer.layer.{t}",
        ("attention.attention.query", "attention.attention.key", "attention.attention.value",
         "attention.output.dense"),
        ("layernorm_before", "layernorm_after", "intermediate.dense", "output.dense"),
        "layernorm", "conv_projection", "fusion", "mobilevit.conv_1x1_exp", "classifier",
        "convolution", "normalization",
    ),
}  # fmt: skip


def _config(
    widths: list[int], inner: list[int], expansion: float, head: int, **changes: Any
) -> dict[str, Any]:
    return {
        "architecture": "mobilevit",
        "stem_width": 16,
        "widths": widths,
        "depths": [1, 3, 1, 1, 1],
        "transformer_widths": [0, 0, *inner],
        "ffn_widths": [0, 0, *(2 * width for width in inner)],
        "transformer_depths": [0, 0, 2, 4, 3],
        "expansion": expansion,
        "head_width": head,
        "heads": 4,
        "patch": [2, 2],
        "dropout": 0.0,
        "ffn_dropout": 0.0,
        "classifier_dropout": 0.0,
        "num_classes": 1000,
        "in_channels": 3,
        "form": "train-time",
        **changes,
    }


CONFIGS = {
    "mobilevit_xxs": _config([16, 24, 48, 64, 80], [64, 80, 96], 2.0, 320),
    "mobilevit_xs": _config([32, 48, 64, 80, 96], [96, 120, 144], 4.0, 384),
    "mobilevit_s": _config([32, 64, 96, 128, 160], [144, 192, 240], 4.0, 640),
}
# A network small enough to write to disk hundreds of times, with every kind of tensor in it.
TINY = _config(
    [8, 8, 10, 12, 9], [12, 16, 8], 3.0, 20, stem_width=8, depths=[1, 2, 1, 1, 1],
    ffn_widths=[0, 0, 20, 7, 24], transformer_depths=[0, 0, 1, 2, 1], num_classes=7, in_channels=4,
)  # fmt: skip


def tensor_shapes(config: Mapping[str, Any], layout: str = "cvnets") -> dict[str, Shape]:
    """Name -> shape of every tensor of a configuration, named as the layout names it."""
    return {
        name: shape for names, shape in _tensors(config, LAYOUT_WORDS[layout]) for name in names
    }


def renamed(state: Mapping[str, Any], config: Mapping[str, Any], layout: str) -> dict[str, Any]:
    """A canonical state dict under a layout's names, by position in the two independent lists."""
    own: dict[str, Any] = {}
    canonical = _tensors(config, LAYOUT_WORDS["cvnets"])
    for (name,), names in zip(
        (names for names, _ in canonical),
        (names for names, _ in _tensors(config, LAYOUT_WORDS[layout])),
        strict=True,
    ):
        whole, rows = state[name], 1
        if len(names) > 1:
            rows = len(whole) // len(names)
        for i, part in enumerate(names):
            own[part] = whole if len(names) == 1 else whole[i * rows : (i + 1) * rows]
    return own


# The names of one tensor, which are several where a layout keeps queries, keys and values apart,
# and the shape of each.
_Tensors = Iterator[tuple[tuple[str, ...], Shape]]


def _tensors(config: Mapping[str, Any], words: Words) -> _Tensors:
    width = config["stem_width"]
    yield from _unit(words.stem, words, config, (width, config["in_channels"], 3, 3))
    for k, (out, depth) in enumerate(zip(config["widths"], config["depths"], strict=True)):
        for j in range(depth):
            in_layer = f"layer.{j}" if k < 2 else "downsampling_layer"
            prefix = words.residual.format(l=k + 1, k=k, j=j, in_layer=in_layer)
            hidden = _hidden(width, config["expansion"])
            shapes = ((hidden, width, 1, 1), (hidden, 1, 3, 3), (out, hidden, 1, 1))
            for part, shape in zip(words.residual_parts, shapes, strict=True):
                yield from _unit(f"{prefix}.{part}", words, config, shape)
            width = out
        if config["transformer_widths"][k]:
            yield from _block(words.block.format(l=k + 1, k=k, j=depth), words, config, k)
    yield from _unit(words.expansion, words, config, (config["head_width"], width, 1, 1))
    yield from _affine(words.classifier, (config["num_classes"], config["head_width"]))


def _block(prefix: str, words: Words, config: Mapping[str, Any], k: int) -> _Tensors:
    width, inner = config["widths"][k], config["transformer_widths"][k]
    yield from _unit(f"{prefix}.{words.local}", words, config, (width, width, 3, 3))
    yield (f"{prefix}.{words.local_1x1}.weight",), (inner, width, 1, 1)
    for t in range(config["transformer_depths"][k]):
        place = f"{prefix}.{words.transformer.format(t=t)}"
        first, second, expand, project = (f"{place}.{w}" for w in words.norms_and_ffn)
        *qkv, out = (f"{place}.{w}" for w in words.attention)
        rows = 3 * inner // len(qkv)
        yield from _affine(first, (inner,))
        yield tuple(f"{name}.weight" for name in qkv), (rows, inner)
        yield tuple(f"{name}.bias" for name in qkv), (rows,)
        yield from _affine(out, (inner, inner))
        yield from _affine(second, (inner,))
        yield from _affine(expand, (config["ffn_widths"][k], inner))
        yield from _affine(project, (inner, config["ffn_widths"][k]))
    last = words.last_norm.format(t=config["transformer_depths"][k])
    yield from _affine(f"{prefix}.{last}", (inner,))
    yield from _unit(f"{prefix}.{words.projection}", words, config, (width, inner, 1, 1))
    yield from _unit(f"{prefix}.{words.fusion}", words, config, (width, 2 * width, 3, 3))


def _unit(prefix: str, words: Words, config: Mapping[str, Any], shape: Shape) -> _Tensors:
    """A convolution and its batch norm, or fused, with a bias."""
    yield (f"{prefix}.{words.conv}.weight",), shape
    if config["form"] == "inference":
        yield (f"{prefix}.{words.conv}.bias",), shape[:1]
        return
    for part in ("weight", "bias", "running_mean", "running_var"):
        yield (f"{prefix}.{words.norm}.{part}",), shape[:1]
    yield (f"{prefix}.{words.norm}.num_batches_tracked",), ()


def _affine(name: str, shape: Shape) -> _Tensors:
    yield (f"{name}.weight",), shape
    yield (f"{name}.bias",), shape[:1]


def _hidden(channels: int, expansion: float) -> int:
    """The nearest multiple of 8, at least 8, and not more than 10 % below."""
    wanted = round(channels * expansion)
    nearest = max(8, (wanted + 4) // 8 * 8)
    return nearest + 8 if nearest < 0.9 * wanted else nearest
