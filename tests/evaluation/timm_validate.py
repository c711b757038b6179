"""timm's validation of a folder: its reader, data set, transforms and modules, in PyTorch.

torchvision is not installed: of it timm's transforms use three classes and a function, which are
written down here by torchvision's documentation.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from checkpoint.timm_models import import_timm
from PIL import Image


class Resize:
    """The shorter edge becomes `size`, the longer one int(size * long / short)."""

    def __init__(self, size: int, interpolation: str) -> None:
        self.size, self.method = size, Image.Resampling[interpolation]

    def __call__(self, image: Image.Image) -> Image.Image:
        width, height = image.size
        short, long = sorted(image.size)
        other = int(self.size * long / short)
        wanted = (self.size, other) if width <= height else (other, self.size)
        return image if wanted == image.size else image.resize(wanted, self.method)


class CenterCrop:
    """Offsets are int(round((extent - size) / 2))."""

    def __init__(self, size: int | tuple[int, int]) -> None:
        self.size = (size, size) if isinstance(size, int) else tuple(size)

    def __call__(self, image: Image.Image) -> Image.Image:
        height, width = self.size
        top, left = round((image.height - height) / 2), round((image.width - width) / 2)
        return image.crop((left, top, left + width, top + height))


class Normalize:
    def __init__(self, mean: Any, std: Any) -> None:
        self.mean, self.std = (torch.as_tensor(v)[:, None, None] for v in (mean, std))

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return x.sub(self.mean).div(self.std)


class Compose:
    def __init__(self, steps: list[Callable[[Any], Any]]) -> None:
        self.steps = steps

    def __call__(self, value: Any) -> Any:
        for step in self.steps:
            value = step(value)
        return value


def to_tensor(image: Image.Image) -> torch.Tensor:
    pixels = torch.from_numpy(np.array(image, np.uint8)).permute(2, 0, 1).contiguous()
    return pixels.float().div(255)


def open_folder(folder: Path, config: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Any:
    """timm's data set of a folder of synsets, as its validate script makes it."""
    timm = import_timm()
    factory = sys.modules["timm.data.transforms_factory"]
    classes = {"Resize": Resize, "CenterCrop": CenterCrop, "Normalize": Normalize}
    shim = types.SimpleNamespace(**classes, Compose=Compose)
    monkeypatch.setattr(factory, "transforms", shim)
    functional = types.SimpleNamespace(to_tensor=to_tensor)
    monkeypatch.setattr(sys.modules["timm.data.transforms"], "F", functional)
    transform = factory.transforms_imagenet_eval(
        img_size=config["input_size"][-2:],
        crop_pct=config["crop_pct"],
        crop_mode=config["crop_mode"],
        interpolation=config["interpolation"],
        mean=config["mean"],
        std=config["std"],
    )
    return timm.data.ImageDataset(str(folder), transform=transform)


def logits(module: torch.nn.Module, data: Any) -> Iterator[tuple[str, torch.Tensor]]:
    """Of every picture, by its path below the folder."""
    with torch.inference_mode():
        for first in range(0, len(data), 16):
            rows = range(first, min(first + 16, len(data)))
            batch = torch.stack([data[row][0] for row in rows])
            names = [data.filename(row) for row in rows]
            yield from zip(names, module(batch), strict=True)


def calibrated(module: Any, data: Any) -> torch.nn.Module:
    """The module with running statistics, and a bias, of the pictures themselves.

    Its logits tell them apart: it predicts as many classes as it can.
    """
    for child in module.modules():
        if isinstance(child, torch.nn.BatchNorm2d):
            child.momentum = None
            child.reset_running_stats()
    rows = np.linspace(0, len(data) - 1, 12).astype(int)
    batch = torch.stack([data[int(row)][0] for row in rows])
    with torch.no_grad():
        module.train()(batch)
        found = module.eval()(batch)
        classifier = module.get_classifier()
        classifier.bias -= found.mean(0)
        for values in (classifier.weight, classifier.bias):
            values /= found.std()
    return module
