"""Small networks whose plans are stored, and edits of what their files say."""

from __future__ import annotations

import functools
import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mobileone
import numpy as np
import pytest
from mobileone import _core

START = struct.Struct("<8sIIQ")
SHAPE = (2, 3, 48, 40)
Header = dict[str, Any]


def small_model(**changes: Any) -> mobileone.Model:
    """Stem, pairs with and without squeeze-and-excitation, classifier."""
    config = {"widths": [16, 48, 40], "depths": [1, 2, 1], "se_depths": [0, 1, 1]}
    full = config | {"num_classes": 7, "form": "inference", "seed": 3} | changes
    return mobileone.create_model("custom", **full)


def small_mobilevit() -> mobileone.Model:
    """Every kind of step that MobileViT has."""
    return mobileone.create_model(
        "mobilevit_custom",
        widths=[16, 24],
        depths=[1, 2],
        transformer_widths=[0, 24],
        ffn_widths=[0, 40],
        transformer_depths=[0, 1],
        head_width=48,
        heads=2,
        num_classes=7,
        form="inference",
        seed=3,
    )


def small_features() -> mobileone.Model:
    """Without a classifier, whose result is in no order of a kernel's."""
    return small_model(num_classes=0)


@functools.cache
def small_int8() -> mobileone.Model:
    """Stem, blocks, squeeze-and-excitation between integers and before the pool."""
    noise = np.random.default_rng(0).standard_normal((4, 3, 48, 40), np.float32)
    with pytest.warns(UserWarning, match="4 images"):
        return mobileone.quantize(small_model(), noise)


MODELS = [small_model, small_mobilevit, small_int8, small_features]


def rewrite(path: Path, change: Callable[[Header], Any]) -> None:
    """Change the header, with a checksum that fits; the weights stay where the header says."""
    data = path.read_bytes()
    magic, version, _, length = START.unpack(data[: START.size])
    header = json.loads(data[START.size : START.size + length])
    weights = data[len(data) - header["weights_bytes"] :]
    replaced = change(header)
    text = json.dumps(header if replaced is None else replaced).encode()
    start = START.pack(magic, version, _core.checksum(text), len(text)) + text
    path.write_bytes(start + b"\0" * (-len(start) % 4096) + weights)


def changed(field: str, value: Any) -> Callable[[Header], None]:
    def change(header: Header) -> None:
        *path, last = field.split("/")
        target: Any = header
        for key in path:
            target = target[key]
        if value is None:
            del target[last]
        else:
            target[last] = value

    return change
