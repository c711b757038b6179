"""Modules of timm that compute another function than the published ones, and what makes them so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from ..timm_models import import_timm

Alter = Callable[[nn.Module], Any]


def small(family: str, **changes: Any) -> nn.Module:
    """A small timm network of the family, with trained-looking norms, in eval mode."""
    import_timm()
    from timm.models import byobnet, mobilevit

    if family == "mobileone":
        cfg = byobnet.ByoModelCfg(
            blocks=byobnet._mobileone_bcfg(
                d=(1, 2, 3, 1),
                wf=(0.125, 0.125, 0.0625, 0.0625),
                se_blocks=(0, 0, 1, 1),
                num_conv_branches=2,
            ),
            stem_type="one",
            stem_chs=8,
        )
    else:
        block, residual = mobilevit._mobilevit_block, mobilevit._inverted_residual_block
        shape = {"patch_size": 2, "br": 2.0, "transformer_depth": 1}
        cfg = byobnet.ByoModelCfg(
            blocks=(
                residual(d=1, c=8, s=1, br=2.0),
                residual(d=3, c=16, s=2, br=2.0),
                block(d=1, c=24, s=2, transformer_dim=32, **shape),
                block(d=1, c=32, s=2, transformer_dim=40, **shape),
                block(d=1, c=40, s=2, transformer_dim=48, **shape),
            ),
            stem_chs=8,
            stem_type="3x3",
            stem_pool="",
            downsample="",
            act_layer="silu",
            num_features=64,
        )
    torch.manual_seed(0)
    return calibrated(byobnet.ByobNet(cfg, **{"num_classes": 7} | changes))


def calibrated(module: nn.Module) -> nn.Module:
    """Batch norms with the statistics of their inputs, as after training; eval mode."""
    for norm in module.modules():
        if hasattr(norm, "running_var"):
            norm.momentum = 1.0
    with torch.no_grad():
        module.train()(torch.randn(4, 3, 64, 64))
    return module.eval()


def each(kind: type, change: Callable[[Any], Any]) -> Alter:
    """Changes every part of a type."""

    def alter(net: nn.Module) -> None:
        for part in net.modules():
            if isinstance(part, kind):
                change(part)

    return alter


def every(kind: type, **attributes: Any) -> Alter:
    """Sets attributes of every part of a type."""
    return each(kind, lambda part: [setattr(part, k, v) for k, v in attributes.items()])


def one(kind: type, number: int, **attributes: Any) -> Alter:
    """Sets attributes of one part of a type."""

    def alter(net: nn.Module) -> None:
        part = [part for part in net.modules() if isinstance(part, kind)][number]
        for name, value in attributes.items():
            setattr(part, name, value)

    return alter


def pad(mode: str) -> Alter:
    """Another padding mode of every 3x3 convolution, as its constructor would set it."""

    def change(conv: nn.Conv2d) -> None:
        if conv.kernel_size == (3, 3):
            conv.padding_mode = mode
            conv._reversed_padding_repeated_twice = [1, 1, 1, 1]

    return each(nn.Conv2d, change)


def dilate(conv: nn.Conv2d) -> None:
    if conv.kernel_size == (3, 3) and conv.groups > 1 and conv.stride == (1, 1):
        conv.dilation = conv.padding = (2, 2)


def of_stem(**attributes: Any) -> Alter:
    """Sets attributes of the convolutions that see the image."""

    def change(conv: nn.Conv2d) -> None:
        if conv.in_channels == 3:
            for name, value in attributes.items():
                setattr(conv, name, value)

    return each(nn.Conv2d, change)


def after(path: str, function: Callable[[torch.Tensor], Any]) -> Alter:
    """A forward hook."""
    return lambda net: net.get_submodule(path).register_forward_hook(
        lambda _module, _args, out: function(out)
    )


def before(path: str, function: Callable[[torch.Tensor], Any]) -> Alter:
    """A forward hook that sees what comes in."""
    return lambda net: net.get_submodule(path).register_forward_pre_hook(
        lambda _module, args: (function(args[0]),)
    )


def in_place(out: torch.Tensor) -> None:
    out.data.mul_(1.5)


def observe(out: torch.Tensor) -> None:
    assert out.detach().mean().isfinite()


def swapped(net: nn.Module) -> None:
    """Two equal blocks in the other order, under their own names."""
    stage = net.stages[1] if len(net.stages) == 5 else net.stages[2]
    blocks = list(stage)
    if len(net.stages) == 5:
        blocks[1], blocks[2] = blocks[2], blocks[1]
    else:
        blocks[2:6] = [*blocks[4:6], *blocks[2:4]] if len(blocks) > 6 else [*blocks[2:6]][::-1]
    stage.forward = lambda x: nn.Sequential(*blocks)(x)


def overridden(net: nn.Module) -> None:
    forward = net.forward
    net.forward = lambda x: forward(x) * 1.01


def autocast(net: nn.Module) -> None:
    """bfloat16 products, as bodies of networks have them that are meant for one kind of device."""
    forward = net.forward

    def cast(x: torch.Tensor) -> torch.Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return forward(x).float()

    net.forward = cast


def with_lazy_layer(net: nn.Module) -> None:
    net.head.fc = nn.LazyLinear(7)


def without_activation(net: nn.Module) -> None:
    parts = [p for p in net.modules() if isinstance(getattr(p, "act", None), nn.ReLU | nn.SiLU)]
    parts[2].act = nn.Identity()


def with_old_norm(net: nn.Module) -> None:
    nn.utils.spectral_norm(net.head.fc)


def with_parametrization(net: nn.Module) -> None:
    nn.utils.parametrizations.weight_norm(net.head.fc)


def tied(kind: type[nn.Module], parameter: str) -> Alter:
    """One tensor in the places of two of the same shape."""

    def alter(net: nn.Module) -> None:
        seen: dict[torch.Size, nn.Module] = {}
        for part in net.modules():
            if isinstance(part, kind):
                own = getattr(part, parameter)
                other = seen.setdefault(own.shape, part)
                if other is not part:
                    setattr(part, parameter, getattr(other, parameter))
                    return

    return alter


def attention(**attributes: Any) -> Alter:
    def alter(net: nn.Module) -> None:
        from timm.layers import Attention

        every(Attention, **attributes)(net)

    return alter


def two_heads(net: nn.Module) -> None:
    from timm.layers import Attention

    for part in net.modules():
        if isinstance(part, Attention):
            part.num_heads, part.head_dim = 2, part.qkv.in_features // 2
            part.scale = part.head_dim**-0.5


def causal(net: nn.Module) -> None:
    from timm.layers import Attention

    for part in net.modules():
        if isinstance(part, Attention):
            part.forward = lambda x, *_, forward=part.forward, **__: forward(x, is_causal=True)


def patches_of_four(net: nn.Module) -> None:
    for part in net.modules():
        if hasattr(part, "patch_area"):
            part.patch_size, part.patch_area = (4, 4), 16


# What both architectures can have, made anew by timm or altered afterwards -> what a refusal says;
# None where it is the module's own function that is loaded.
MADE: dict[str, tuple[dict[str, Any], str | None]] = {
    **{act: ({"act_layer": act}, None) for act in ("relu", "relu6", "silu", "gelu", "hard_swish")},
    "leaky_relu": ({"act_layer": "leaky_relu"}, None),
    **{act: ({"act_layer": act}, act) for act in ("mish", "elu", "tanh")},
    "sigmoid": ({"act_layer": "sigmoid"}, "activation sigmoid"),
    "prelu": ({"act_layer": "prelu"}, r"act\.weight"),
    "gelu_tanh": ({"act_layer": "gelu_tanh"}, "gelu.*approximate='tanh'"),
    "output_stride 8": ({"output_stride": 8}, None),
    "output_stride 16": ({"output_stride": 16}, None),
    "max pooling": ({"global_pool": "max"}, "max_pool2d.*expected global average pooling"),
    "avgmax pooling": ({"global_pool": "avgmax"}, "AvgMaxPool"),
    "no classifier": ({"num_classes": 0}, None),
    "no pooling": ({"num_classes": 0, "global_pool": ""}, "its result is .*; expected that of"),
    "dropout in eval": ({"drop_rate": 0.3, "drop_path_rate": 0.2}, None),
}
ALTERED: dict[str, tuple[Alter, str | None]] = {
    "eps": (every(nn.BatchNorm2d, eps=1e-3), None),
    "no eps": (
        every(nn.BatchNorm2d, eps=0.0),
        r"eps'\] is 0\.0; expected a number above 0",
    ),
    "one eps": (one(nn.BatchNorm2d, 5, eps=1e-2), r"eps is 0\.01; expected 1e-05"),
    "batch statistics": (one(nn.BatchNorm2d, 3, running_mean=None, running_var=None), "running"),
    "reflect": (pad("reflect"), "padding_mode.*reflect"),
    "circular": (pad("circular"), "padding_mode.*circular"),
    "dilation": (each(nn.Conv2d, dilate), None),
    "stem stride": (of_stem(stride=(1, 1)), None),
    "uneven stem stride": (of_stem(stride=(2, 1)), r"stride is \(2, 1\)"),
    "head taken off": (
        lambda module: module.reset_classifier(0, ""),
        "its result is .*; expected that of",
    ),
    "forward hook": (after("stages.1", lambda out: out * 2), "mul"),
    "hook on the result": (after("", lambda out: out.softmax(-1)), "its result is softmax"),
    "pre-hook": (before("", lambda x: x.flip(1)), "flip"),
    "rare clamp": (after("stages.0", lambda out: out.clamp(-50, 50)), r"clamp\(-50, 50\)"),
    "noise": (after("stages.0", lambda out: out + torch.randn_like(out)), "add"),
    "dropout that drops": (after("stages.0", lambda x: F.dropout(x, 0.1, True)), "dropout"),
    "changed in place": (after("stages.0", in_place), "in place"),
    "observed": (after("stages.0", observe), None),
    "pooled features scaled": (before("head", lambda x: x * 0.5), "expected global average"),
    "order": (swapped, "it reads"),
    "forward": (overridden, "its result is mul"),
    "autocast": (autocast, r"conv2d under torch\.autocast"),
    "lazy layer": (with_lazy_layer, r"head\.fc\.weight is not initialized"),
    "no activation": (without_activation, "activation"),
    "spectral norm": (with_old_norm, "weight_orig"),
    "parametrization": (with_parametrization, "parametrizations"),
    "tied kernels": (tied(nn.Conv2d, "weight"), r"\.weight and .* are one tensor \(tied weights\)"),
    "tied statistics": (tied(nn.BatchNorm2d, "running_var"), "running_var are one tensor"),
    "channels last": (lambda net: net.to(memory_format=torch.channels_last), None),
}
OF_MOBILEVIT: dict[str, tuple[Alter, str | None]] = {
    "heads": (two_heads, None),
    "attention scale": (attention(scale=0.1, fused_attn=False), "qkv|matmul|softmax|div|proj"),
    "unfused attention": (attention(fused_attn=False), None),
    "causal attention": (causal, "scaled_dot_product_attention"),
    "no layer norm eps": (every(nn.LayerNorm, eps=0.0), r"layer_norm_eps'\] is 0\.0"),
    "layer norm eps": (every(nn.LayerNorm, eps=1e-6), None),
    "patch": (patches_of_four, None),
}
