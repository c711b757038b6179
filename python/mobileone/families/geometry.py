"""Strides and dilations of a network, where they are not as published."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

__all__ = ["Convolution", "dilated_strides", "geometry_fields"]


class Convolution(NamedTuple):
    """How far apart a convolution's results and its taps are, (vertically, horizontally)."""

    stride: tuple[int, int]
    dilation: tuple[int, int] = (1, 1)


def geometry_fields(
    stem: Convolution | None,
    firsts: Iterable[Convolution | None],
    dilated: Mapping[str, Convolution | None],
    strides: Iterable[int],
) -> dict[str, Any]:
    """The fields `stem_stride`, `strides` and `dilations`, where they are not as published.

    Args:
        stem: the first convolution.
        firsts: the convolution of each stage that has its stride.
        dilated: name of each block that can be dilated -> the convolution in it.
        strides: of the stages as published.
    """
    found: dict[str, Any] = {}
    if stem is not None and stem.stride[0] != 2:
        found["stem_stride"] = stem.stride[0]
    published = list(strides)
    told = [published[i] if first is None else first.stride[0] for i, first in enumerate(firsts)]
    if told != published:
        found["strides"] = told
    dilations = {
        block: conv.dilation[0]
        for block, conv in dilated.items()
        if conv is not None and conv.dilation[0] != 1
    }
    return found | ({"dilations": dilations} if dilations else {})


def dilated_strides(
    output_stride: int, strides: list[int], stem_stride: int = 2
) -> list[tuple[int, int]]:
    """(stride, dilation) of each stage where strides beyond `output_stride` become dilations.

    The dilation is that of a stage's convolutions after its first one.

    Raises:
        ValueError: an output stride that no stage has.
    """
    total, dilation, result, reached = stem_stride, 1, [], [stem_stride]
    for stride in strides:
        if total >= output_stride and stride > 1:
            dilation *= stride
            stride = 1
        total *= stride
        reached.append(total)
        result.append((stride, dilation))
    if output_stride not in reached:
        full = stem_stride
        possible = {full}
        for stride in strides:
            full *= stride
            possible.add(full)
        raise ValueError(f"output_stride is {output_stride!r}; expected one of {sorted(possible)}")
    return result
