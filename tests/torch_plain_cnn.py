"""An independent float64 PyTorch implementation of the studies' network, from the papers' formulas.

Written against the papers, not the engine: MobileNetV1's layers (Howard et al. 2017, Table 1),
squeeze-and-excitation (Hu et al. 2018), dynamic ReLU (Chen et al. 2020, equations 1 to 4) and
dynamic shift-max (Li et al. 2021, equations 5 and 6). Weights come under the engine's names.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

Weights = dict[str, torch.Tensor]


def forward(weights: dict[str, Any], x: np.ndarray, config: dict[str, Any]) -> np.ndarray:
    """Logits in float64."""
    w = {name: torch.from_numpy(np.array(v)).double() for name, v in weights.items()}
    strides = config.get("strides", [1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 1, 2, 1])
    y = _layer(w, "stem", torch.from_numpy(x).double(), config, stride=2)
    for pair, stride in enumerate(strides, start=1):
        y = _layer(w, f"pair{pair}.depthwise", y, config, stride=stride)
        y = _layer(w, f"pair{pair}.pointwise", y, config)
    return F.linear(y.mean((2, 3)), w["linear.weight"], w["linear.bias"]).numpy()


def _layer(
    w: Weights, name: str, x: torch.Tensor, config: dict[str, Any], stride: int = 1
) -> torch.Tensor:
    kernel, bias = w[f"{name}.conv.weight"], w[f"{name}.conv.bias"]
    groups = x.shape[1] // kernel.shape[1]
    y = F.conv2d(x, kernel, bias, stride, kernel.shape[-1] // 2, 1, groups)
    if config["squeeze_excite"]:
        y = y * torch.sigmoid(_hyper(w, f"{name}.se", y))[..., None, None]
    if config["skip"] and y.shape == x.shape:
        y = y + x
    return _activate(w, name, y, config)


def _hyper(w: Weights, name: str, y: torch.Tensor) -> torch.Tensor:
    """Two fully connected layers with a ReLU between them, on the mean over all pixels."""
    hidden = F.linear(
        y.mean((2, 3)), w[f"{name}.reduce.weight"][..., 0, 0], w[f"{name}.reduce.bias"]
    )
    return F.linear(F.relu(hidden), w[f"{name}.expand.weight"][..., 0, 0], w[f"{name}.expand.bias"])


def _activate(w: Weights, name: str, y: torch.Tensor, config: dict[str, Any]) -> torch.Tensor:
    kind = config["activation"]
    if kind == "se_relu":
        return F.relu(y * torch.sigmoid(_hyper(w, f"{name}.se", y))[..., None, None])
    if kind == "dynamic_shift_max":
        return _dynamic_shift_max(_hyper(w, f"{name}.act", y), y, config["groups"])
    if kind.startswith("dynamic_relu"):
        return _dynamic_relu(_hyper(w, f"{name}.act", y), y)
    return {"relu": F.relu, "gelu": F.gelu, "silu": F.silu}[kind](y)


def _dynamic_relu(theta: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """K = 2, alpha = (1, 0), beta = (0, 0), lambda_a = 1, lambda_b = 1/2; residuals in [-1, 1].

    theta: a^1, a^2, b^1, b^2, of one channel (variant A) or of all (variant B).
    """
    residual = (2.0 * torch.sigmoid(theta) - 1.0).reshape(x.shape[0], 4, -1, 1, 1)
    a1, a2, b1, b2 = residual.unbind(1)
    return torch.maximum((1.0 + a1) * x + 0.5 * b1, a2 * x + 0.5 * b2)


def _dynamic_shift_max(theta: torch.Tensor, x: torch.Tensor, groups: int) -> torch.Tensor:
    """K = J = 2: the input and its circular shift by C / G channels; a^1_0 starts at 1.

    theta: a^1_0, a^1_1, a^2_0, a^2_1, each of all channels.
    """
    batch, channels = x.shape[:2]
    a = (2.0 * F.hardsigmoid(theta) - 1.0).reshape(batch, 4, channels, 1, 1)
    shifted = torch.roll(x, -(channels // groups), dims=1)
    first = (1.0 + a[:, 0]) * x + a[:, 1] * shifted
    return torch.maximum(first, a[:, 2] * x + a[:, 3] * shifted)
