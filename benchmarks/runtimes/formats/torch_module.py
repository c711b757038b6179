"""The network as a torch.nn.Module."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from benchmarks.runtimes.formats.network import Network

__all__ = ["torch_module"]


def torch_module(network: Network) -> Any:
    """A module in eval mode, in channels-last memory format, that maps images to logits."""
    import torch

    class Runner(torch.nn.Module):
        """Calls the layers in the graph's order; unrolled when it is traced."""

        def __init__(self) -> None:
            super().__init__()
            self.layers = torch.nn.ModuleDict()
            self.functions: dict[str, Callable[..., Any]] = {}
            for node in network.nodes[1:]:
                layer = _layer(node, network)
                if layer is None:
                    self.functions[node["name"]] = _function(node, network)
                else:
                    self.layers[_key(node)] = layer

        def forward(self, x: Any) -> Any:
            """Logits [N, classes] of images [N, C, H, W]."""
            values = {network.nodes[0]["name"]: x}
            for node in network.nodes[1:]:
                operands = [values[name] for name in node["inputs"]]
                function = self.functions.get(node["name"])
                values[node["name"]] = (
                    self.layers[_key(node)](*operands) if function is None else function(*operands)
                )
            return values[network.output]

    module: Any = Runner().eval().requires_grad_(False)
    return module.to(memory_format=torch.channels_last)


def _key(node: dict[str, Any]) -> str:
    return str(node["name"]).replace(".", "_")


def _layer(node: dict[str, Any], network: Network) -> Any:
    """The torch module of a node with its weights; None for what is a function in torch."""
    from torch import nn

    kind, a = node["kind"], node["attributes"]
    if kind == "GlobalAvgPool":
        return nn.AdaptiveAvgPool2d(1)
    if kind == "Activation":
        kinds: dict[str, Any] = {"relu": nn.ReLU, "sigmoid": nn.Sigmoid, "silu": nn.SiLU}
        return kinds[a["kind"]]()
    if kind == "Conv2d":
        sizes = {name: tuple(a[name]) for name in ("kernel_size", "stride", "padding", "dilation")}
        convolution: Any = nn.Conv2d
        layer = convolution(**{**a, **sizes})
        return _fill(layer, node, network)
    if kind == "Linear":
        layer = _fill(nn.Linear(a["in_features"], a["out_features"], a["bias"]), node, network)
        tokens = len(network.shapes[node["inputs"][0]]) == 3
        return layer if tokens else nn.Sequential(nn.Flatten(1), layer)
    if kind == "LayerNorm":
        return _fill(nn.LayerNorm(a["channels"], eps=a["eps"]), node, network)
    return None


def _function(node: dict[str, Any], network: Network) -> Callable[..., Any]:
    """What a node without weights or a torch module computes, at the network's input shape."""
    import torch

    kind, a = node["kind"], node["attributes"]
    shape = network.shapes[node["name"]]
    if kind == "Add":
        return lambda x, y: x + y
    if kind == "Multiply":
        return lambda x, y: x * y
    if kind == "Concat":
        return lambda *maps: torch.cat(maps, 1)
    if kind == "Unfold":
        return _unfold(a["patch"], network.shapes[node["inputs"][0]])
    if kind == "Fold":
        return _fold(a["patch"], shape)
    if kind == "Attention":
        return _attention(a["heads"], shape)
    if kind == "Resize":
        if shape == network.shapes[node["inputs"][0]]:
            return lambda x, *size_of: x
        return lambda x, *size_of: torch.nn.functional.interpolate(
            x, shape[2:], mode="bilinear", align_corners=False
        )
    raise NotImplementedError(
        f"{node['name']} is a {kind}; expected an operator of an inference form"
    )


def _attention(heads: int, shape: tuple[int, ...]) -> Callable[..., Any]:
    import torch

    batch, tokens, features = shape

    def attention(packed: Any) -> Any:
        split = packed.reshape(batch, tokens, 3, heads, features // heads).permute(2, 0, 3, 1, 4)
        mixed = torch.nn.functional.scaled_dot_product_attention(*split.unbind(0))
        return mixed.transpose(1, 2).reshape(shape)

    return attention


def _unfold(patch: tuple[int, int], shape: tuple[int, ...]) -> Callable[..., Any]:
    batch, channels, height, width = shape
    rows, columns = patch
    down, across = height // rows, width // columns

    def unfold(image: Any) -> Any:
        split = image.reshape(batch, channels, down, rows, across, columns)
        return split.permute(0, 3, 5, 2, 4, 1).reshape(-1, down * across, channels)

    return unfold


def _fold(patch: tuple[int, int], shape: tuple[int, ...]) -> Callable[..., Any]:
    import torch

    batch, channels, height, width = shape
    rows, columns = patch

    def fold(tokens: Any) -> Any:
        split = tokens.reshape(batch, rows, columns, height // rows, width // columns, channels)
        # The order of channels last, so that the result is in that format without another copy.
        image = split.permute(0, 3, 1, 4, 2, 5).reshape(batch, height, width, channels)
        return image.permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)

    return lambda tokens, size_of: fold(tokens)


def _fill(layer: Any, node: dict[str, Any], network: Network) -> Any:
    import torch

    prefix = f"{node['name']}."
    state = {
        name.removeprefix(prefix): torch.from_numpy(value)
        for name, value in network.weights.items()
        if name.startswith(prefix) and "." not in name.removeprefix(prefix)
    }
    layer.load_state_dict(state)
    return layer
