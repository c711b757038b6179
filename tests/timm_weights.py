"""Weights of timm's networks as those of `studies.architectures`, by the order of their layers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import mobileone
import numpy as np
import torch
from mobileone import _core
from torch import nn

Arrays = list[np.ndarray]


def weights_of(
    model: mobileone.Model, module: nn.Module, x: torch.Tensor, constants: Arrays
) -> _core.Network:
    """The model's network with the weights of the module's layers, in the order in which they run;
    norms folded into the convolutions before them. `constants` are for the constants, in order.
    """
    layers = _layers(module, x)
    values = iter(constants)
    weights = {}
    for node in model.graph.nodes:
        name, kind = node["name"], node["kind"]
        if kind == "Constant":
            weights[f"{name}.value"] = next(values).reshape(node["attributes"]["shape"])
        elif kind == "Conv2d":
            weight, bias = next(layers[nn.Conv2d])
            weights |= {f"{name}.weight": weight, f"{name}.bias": bias}
        elif kind in ("Linear", "LayerNorm"):
            found = next(layers[getattr(nn, kind)])
            weights |= {f"{name}.{part}": value for part, value in found.items()}
    left = {kind.__name__: len(list(rest)) for kind, rest in layers.items()}
    assert not any(left.values()), left
    shapes = {name: shape for name, shape, *_ in model.graph.parameters()}
    return _core.Network(
        model.graph,
        {k: np.ascontiguousarray(w, np.float32).reshape(shapes[k]) for k, w in weights.items()},
    )


def _layers(module: nn.Module, x: torch.Tensor) -> dict[type, Iterator[Any]]:
    ran: list[nn.Module] = []
    kinds = (nn.Conv2d, nn.BatchNorm2d, nn.Linear, nn.LayerNorm)
    hooks = [
        child.register_forward_hook(lambda own, given, result: ran.append(own))
        for child in module.modules()
        if isinstance(child, kinds)
    ]
    with torch.no_grad():
        module(x)
    for hook in hooks:
        hook.remove()
    rows = {
        kind: iter([
            {name: value.detach().numpy() for name, value in layer.named_parameters()}
            for layer in ran
            if isinstance(layer, kind)
        ])
        for kind in (nn.Linear, nn.LayerNorm)
    }  # fmt: skip
    return {nn.Conv2d: iter(_folded(ran)), **rows}


def _folded(ran: list[nn.Module]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Weight and bias of every convolution, in float64."""
    folded: list[tuple[np.ndarray, np.ndarray]] = []
    for layer in ran:
        if isinstance(layer, nn.Conv2d):
            bias = np.zeros(layer.out_channels) if layer.bias is None else _double(layer.bias)
            folded.append((_double(layer.weight), bias))
        elif isinstance(layer, nn.BatchNorm2d):
            scale = _double(layer.weight) / np.sqrt(_double(layer.running_var) + layer.eps)
            shift = _double(layer.bias) - _double(layer.running_mean) * scale
            # Of one convolution, or of several whose results were joined.
            end, place = layer.num_features, len(folded)
            while end > 0:
                place -= 1
                weight, bias = folded[place]
                own = slice(end - len(bias), end)
                folded[place] = (
                    weight * scale[own, None, None, None], bias * scale[own] + shift[own]
                )  # fmt: skip
                end -= len(bias)
    return folded


def _double(tensor: torch.Tensor) -> np.ndarray:
    return tensor.detach().double().numpy()
