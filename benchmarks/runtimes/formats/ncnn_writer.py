"""Layers of an ncnn network: text lines and weights in the same order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["Fields", "NcnnWriter", "tagged"]

_MAGIC = 7767517
_FLOAT32_TAG = bytes(4)

# Values by parameter number; a list is an array.
Fields = dict[int, Any]


def tagged(weight: npt.NDArray[np.float32]) -> bytes:
    """A weight as ncnn stores it where it could be of another type."""
    return _FLOAT32_TAG + weight.tobytes()


class NcnnWriter:
    """Appends layers; blobs are referred to by name."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._weights: list[bytes] = []
        self._blobs = 0

    def layer(
        self,
        kind: str,
        name: str,
        inputs: Sequence[str],
        output: str,
        fields: Mapping[int, Any] | None = None,
        weights: Sequence[bytes] = (),
    ) -> str:
        """Append a layer with one result, which it returns."""
        self.layers(kind, name, inputs, [output], fields, weights)
        return output

    def layers(
        self,
        kind: str,
        name: str,
        inputs: Sequence[str],
        outputs: Sequence[str],
        fields: Mapping[int, Any] | None = None,
        weights: Sequence[bytes] = (),
    ) -> list[str]:
        """Append a layer with several results."""
        values = [_field(key, value) for key, value in (fields or {}).items()]
        counts = [str(len(inputs)), str(len(outputs))]
        self._lines.append(" ".join([kind, name, *counts, *inputs, *outputs, *values]))
        self._weights += weights
        self._blobs += len(outputs)
        return list(outputs)

    def split(self, blob: str, count: int) -> list[str]:
        """The same blob ``count`` times."""
        return self.layers("Split", f"{blob}_split", [blob], [f"{blob}_{i}" for i in range(count)])

    def reshape(self, blob: str, shape: tuple[int, ...], name: str) -> str:
        """The same values as [rows, columns], [C, H, W] or [C, D, H, W]."""
        keys = {2: (1, 0), 3: (2, 1, 0), 4: (2, 11, 1, 0)}[len(shape)]
        return self.layer("Reshape", name, [blob], name, dict(zip(keys, shape, strict=True)))

    def permute(self, blob: str, order: int, name: str) -> str:
        """Axes in the order of ncnn's number."""
        return self.layer("Permute", name, [blob], name, {0: order})

    def param(self) -> str:
        """The text of the .param file."""
        return "\n".join([str(_MAGIC), f"{len(self._lines)} {self._blobs}", *self._lines]) + "\n"

    def weights(self) -> bytes:
        """The bytes of the .bin file."""
        return b"".join(self._weights)


def _field(key: int, value: Any) -> str:
    if isinstance(value, list):
        return f"{-23300 - key}={len(value)},{','.join(str(v) for v in value)}"
    return f"{key}={value}"
