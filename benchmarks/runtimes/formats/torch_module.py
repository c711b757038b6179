"""The network as a torch.nn.Module."""

from __future__ import annotations

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
            for node in network.nodes[1:]:
                layer = _layer(node, network)
                if layer is not None:
                    self.layers[_key(node)] = layer

        def forward(self, x: Any) -> Any:
            """Logits [N, classes] of images [N, C, H, W]."""
            values = {network.nodes[0]["name"]: x}
            for node in network.nodes[1:]:
                operands = [values[name] for name in node["inputs"]]
                key = _key(node)
                if key in self.layers:
                    result = self.layers[key](*operands)
                else:
                    result = (
                        operands[0] + operands[1]
                        if node["kind"] == "Add"
                        else (operands[0] * operands[1])
                    )
                values[node["name"]] = result
            return values[network.output]

    module: Any = Runner().eval().requires_grad_(False)
    return module.to(memory_format=torch.channels_last)


def _key(node: dict[str, Any]) -> str:
    return str(node["name"]).replace(".", "_")


def _layer(node: dict[str, Any], network: Network) -> Any:
    """The torch module of a node with its weights; None for Add and Multiply."""
    from torch import nn

    kind, a = node["kind"], node["attributes"]
    if kind in ("Add", "Multiply"):
        return None
    if kind == "GlobalAvgPool":
        return nn.AdaptiveAvgPool2d(1)
    if kind == "Activation":
        return {"relu": nn.ReLU, "sigmoid": nn.Sigmoid}[a["kind"]]()
    if kind == "Conv2d":
        sizes = {name: tuple(a[name]) for name in ("kernel_size", "stride", "padding", "dilation")}
        convolution: Any = nn.Conv2d
        layer = convolution(**{**a, **sizes})
        return _fill(layer, node, network)
    if kind == "Linear":
        layer = nn.Linear(a["in_features"], a["out_features"], bias=a["bias"])
        return nn.Sequential(nn.Flatten(1), _fill(layer, node, network))
    raise NotImplementedError(
        f"{node['name']} is a {kind}; expected an operator of an inference form"
    )


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
