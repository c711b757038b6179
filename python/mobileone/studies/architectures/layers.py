"""Layers of the networks in this folder, in inference form: every convolution with a bias."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mobileone._core import Graph, GraphBuilder

__all__ = ["SIZE", "Layers", "divisible"]

SIZE = 224  # height and width of the images of all of them


def divisible(channels: float, by: int = 8) -> int:
    """The nearest multiple of `by` that is no more than a tenth below (MobileNetV2's rule)."""
    nearest = max(by, int(channels + by / 2) // by * by)
    return nearest if nearest >= 0.9 * channels else nearest + by


class Layers:
    """A graph as it grows. Values are names of nodes; `shapes` has those of one image.

    Attributes:
        builder: of the graph.
        shapes: of every value: (channels, height, width) of maps, (tokens, features) of tokens.
        image: the input.
    """

    def __init__(self) -> None:
        self.builder = GraphBuilder()
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.image = self.add("Input", [], (3, SIZE, SIZE), channels=3)

    def add(
        self, operator: str, inputs: Sequence[str], shape: Sequence[int], /, **attributes: Any
    ) -> str:
        """Append a node."""
        name = f"{operator.lower()}{len(self.shapes)}"
        self.builder.add(name, operator, list(inputs), **attributes)
        self.shapes[name] = tuple(shape)
        return name

    def conv(
        self,
        x: str,
        channels: int,
        kernel: int = 1,
        stride: int = 1,
        act: str | None = None,
        groups: int = 1,
        padding: int | None = None,
    ) -> str:
        """A convolution padded by half its kernel, and an activation."""
        given, height, width = self.shapes[x]
        pad = kernel // 2 if padding is None else padding
        sides = [(side + 2 * pad - kernel) // stride + 1 for side in (height, width)]
        made = self.add(
            "Conv2d", [x], (channels, *sides), in_channels=given, out_channels=channels,
            kernel_size=kernel, stride=stride, padding=pad, groups=groups, bias=True,
        )  # fmt: skip
        return self.act(made, act)

    def depthwise(
        self,
        x: str,
        kernel: int = 3,
        stride: int = 1,
        act: str | None = None,
        channels: int | None = None,
    ) -> str:
        """A convolution of each channel, or several: `channels` in all."""
        given = self.shapes[x][0]
        return self.conv(x, channels or given, kernel, stride, act, groups=given)

    def act(self, x: str, kind: str | None) -> str:
        """An activation, or none."""
        return x if kind is None else self.add("Activation", [x], self.shapes[x], kind=kind)

    def constant(self, *shape: int) -> str:
        """A weight that is a value; the first axis is that of images."""
        return self.add("Constant", [], shape[1:], shape=list(shape))

    def plus(self, x: str, y: str) -> str:
        """The sum of two values of one shape."""
        return self.add("Add", [x, y], self.shapes[x])

    def squeeze_excite(self, x: str, reduced: int, act: str, gate: str) -> str:
        """Hu et al. 2018, by 1x1 convolutions."""
        channels = self.shapes[x][0]
        pooled = self.add("GlobalAvgPool", [x], (channels, 1, 1))
        factor = self.conv(self.conv(pooled, reduced, act=act), channels, act=gate)
        return self.add("Multiply", [x, factor], self.shapes[x])

    def sliced(self, x: str, axis: int, start: int, end: int) -> str:
        """Elements start to end of an axis; axis 1 is the first of one image's."""
        shape = list(self.shapes[x])
        shape[axis - 1] = end - start
        return self.add("Slice", [x], shape, axis=axis, start=start, end=end)

    def concat(self, parts: Sequence[str], axis: int = 1) -> str:
        """Joined along an axis."""
        shape = list(self.shapes[parts[0]])
        shape[axis - 1] = sum(self.shapes[part][axis - 1] for part in parts)
        return self.add("Concat", parts, shape, axis=axis)

    def reshaped(self, x: str, shape: Sequence[int]) -> str:
        """One image's elements in another shape."""
        return self.add("Reshape", [x], shape, shape=[-1, *shape])

    def transposed(self, x: str, perm: Sequence[int]) -> str:
        """Axis i is axis perm[i], images being axis 0."""
        shape = (0, *self.shapes[x])
        return self.add("Transpose", [x], [shape[i] for i in perm[1:]], perm=list(perm))

    def linear(self, x: str, features: int, act: str | None = None, bias: bool = True) -> str:
        """Of the last axis, or of a pooled map."""
        shape = self.shapes[x]
        pooled = len(shape) == 3
        given = shape[0] if pooled else shape[-1]
        result = (features,) if pooled else (*shape[:-1], features)
        sizes = {"in_features": given, "out_features": features}
        made = self.add("Linear", [x], result, bias=bias, **sizes)
        return self.act(made, act)

    def norm(self, x: str, eps: float) -> str:
        """Layer normalisation of the last axis."""
        shape = self.shapes[x]
        return self.add("LayerNorm", [x], shape, channels=shape[-1], eps=eps)

    def softmax(self, x: str, axis: int) -> str:
        """Along an axis, images being axis 0."""
        return self.add("Softmax", [x], self.shapes[x], axis=axis)

    def product(self, a: str, b: str) -> str:
        """Of matrices [..., rows, features] and [..., features, columns]."""
        (*lead, rows, features), columns = self.shapes[a], self.shapes[b][-1]
        return self.add("MatMul", [a, b], (*lead, rows, columns), features=features)

    def rows_of_heads(self, x: str, heads: int) -> str:
        """[heads, tokens, features of one] of [tokens, features]."""
        return self._heads(x, heads, (0, 2, 1, 3))

    def columns_of_heads(self, x: str, heads: int) -> str:
        """[heads, features of one, tokens] of [tokens, features]."""
        return self._heads(x, heads, (0, 2, 3, 1))

    def _heads(self, x: str, heads: int, perm: Sequence[int]) -> str:
        tokens, features = self.shapes[x]
        return self.transposed(self.reshaped(x, (tokens, heads, features // heads)), perm)

    def finish(self, x: str) -> Graph:
        """The graph whose result is that value."""
        self.builder.output(x)
        return self.builder.build()

    def classified(self, x: str, head: int | None = None, act: str | None = None) -> Graph:
        """Pooled, with `head` features between if there are any, and ImageNet's classes."""
        pooled = self.add("GlobalAvgPool", [x], (self.shapes[x][0], 1, 1))
        if head is not None:
            pooled = self.conv(pooled, head, act=act)
        return self.finish(self.linear(pooled, 1000))
