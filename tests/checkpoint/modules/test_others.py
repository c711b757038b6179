"""transformers' MobileViT and segmentation_models' MobileOne: their own functions, or a refusal."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

import mobileone
import numpy as np
import pytest
import torch
from mobileone.verification.rounding import rounding_bound
from torch import nn

from ..timm_models import importing_torchvision
from .altered import after, before, every, pad

IMAGE = torch.randn(1, 3, 72, 96, generator=torch.Generator().manual_seed(1))
Alter = Callable[[nn.Module], Any]


def require(package: str) -> None:
    if importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed")


def trained_looking(module: nn.Module) -> nn.Module:
    """Weights that keep the scale of maps, norms with the statistics of their inputs."""
    torch.manual_seed(0)
    for part in module.modules():
        if isinstance(part, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(part.weight)
        if isinstance(part, nn.BatchNorm2d):
            part.momentum = 1.0
    with torch.no_grad():
        module.train()(torch.randn(4, 3, 64, 64))
    return module.eval()


def vit(**config: Any) -> nn.Module:
    require("transformers")
    from transformers import MobileViTConfig, MobileViTForImageClassification

    shape = {
        "hidden_sizes": [32, 40, 48],
        "neck_hidden_sizes": [8, 8, 16, 24, 32, 40, 64],
        "num_labels": 7,
        "image_size": 64,
    }
    return trained_looking(MobileViTForImageClassification(MobileViTConfig(**shape | config)))


# How it is configured, what is done to it, and what a refusal says; None for its own function.
VIT: dict[str, tuple[dict[str, Any], Alter | None, str | None]] = {
    "published": ({}, None, None),
    **{act: ({"hidden_act": act}, None, None) for act in ("relu", "gelu", "leaky_relu")},
    "mish": ({"hidden_act": "mish"}, None, "mish"),
    "gelu_new": ({"hidden_act": "gelu_new"}, None, "NewGELUActivation"),
    "quick_gelu": ({"hidden_act": "quick_gelu"}, None, "QuickGELU"),
    "output_stride 16": ({"output_stride": 16}, None, None),
    "output_stride 8": ({"output_stride": 8}, None, None),
    "heads": ({"num_attention_heads": 2}, None, None),
    "patch": ({"patch_size": 4}, None, None),
    "layer norm eps": ({"layer_norm_eps": 1e-3}, None, None),
    "no bias": ({"qkv_bias": False}, None, r"query\.bias: missing"),
    "kernel": ({"conv_kernel_size": 5}, None, r"conv_kxk\.convolution\.weight"),
    "expansion": ({"expand_ratio": 2.0}, None, None),
    "mlp": ({"mlp_ratio": 1.5}, None, None),
    "dropout in eval": ({"hidden_dropout_prob": 0.3}, None, None),
    "attention in plain operators": ({"attn_implementation": "eager"}, None, None),
    "eps": ({}, every(nn.BatchNorm2d, eps=1e-3), None),
    "reflect": ({}, pad("reflect"), "padding_mode.*reflect"),
    "circular": ({}, pad("circular"), "padding_mode.*circular"),
    "pre-hook": ({}, before("", lambda x: x.flip(1)), "expected input"),
    "forward hook": ({}, after("mobilevit.conv_stem", lambda out: out * 2), "mul"),
    "hook on the result": ({}, after("classifier", lambda out: out.softmax(-1)), "softmax"),
}


def loaded(
    module: nn.Module, alter: Alter | None, refusal: str | None, **how: Any
) -> mobileone.Model | None:
    """The altered module's network; None where it is refused, which must say so."""
    if alter is not None:
        alter(module)
    if refusal is None:
        return mobileone.load(module, **how)
    with pytest.raises((NotImplementedError, mobileone.CheckpointError), match=refusal):
        mobileone.load(module, **how)
    return None


@pytest.mark.parametrize("name", VIT)
@pytest.mark.parametrize("checked", [True, False])
def test_transformers(name: str, checked: bool) -> None:
    config, alter, refusal = VIT[name]
    module = vit(**config)
    model = loaded(module, alter, refusal, check=checked)
    if model is None:
        return
    with torch.no_grad():
        exact = module.double()(IMAGE.double()).logits.numpy()
    error = np.abs(model(IMAGE) - exact).max()
    assert error <= rounding_bound(model, IMAGE.numpy(), samples=2).logits


def encoder(**options: Any) -> nn.Module:
    require("segmentation_models_pytorch")
    with importing_torchvision():
        from segmentation_models_pytorch.encoders import get_encoder
    return trained_looking(get_encoder("mobileone_s0", weights=None, **options))


def without_activation(net: nn.Module) -> None:
    net.stage2[1].activation = nn.Identity()


def with_activation(kind: type[nn.Module]) -> Alter:
    def alter(net: nn.Module) -> None:
        for part in net.modules():
            if isinstance(getattr(part, "activation", None), nn.ReLU):
                part.activation = kind()

    return alter


ENCODERS: dict[str, tuple[dict[str, Any], Alter | None, str | None]] = {
    "published": ({}, None, None),
    "output_stride 16": ({"output_stride": 16}, None, None),
    "output_stride 8": ({"output_stride": 8}, None, None),
    "eps": ({}, every(nn.BatchNorm2d, eps=1e-3), None),
    "silu": ({}, with_activation(nn.SiLU), None),
    "elu": ({}, with_activation(nn.ELU), "elu"),
    "reflect": ({}, pad("reflect"), "padding_mode.*reflect"),
    "pre-hook": ({}, before("", lambda x: x.flip(1)), "expected input"),
    "forward hook": ({}, after("stage1", lambda out: out * 2), "mul"),
    "no activation": ({}, without_activation, "expected activation relu"),
}


@pytest.mark.parametrize("name", ENCODERS)
@pytest.mark.parametrize("checked", [True, False])
def test_segmentation_models(name: str, checked: bool) -> None:
    options, alter, refusal = ENCODERS[name]
    module = encoder(**options)
    model = loaded(module, alter, refusal, check=checked, num_classes=0)
    if model is None:
        return
    with torch.no_grad():
        exact = module.double()(IMAGE.double())[-5:]
    bounds = rounding_bound(model, IMAGE.numpy(), samples=2).levels
    for ours, theirs, bound in zip(model.features(IMAGE), exact, bounds, strict=True):
        assert np.abs(ours - theirs.numpy()).max() <= bound
