"""What a value looks at of the value it is computed from: the algebra of convolutions, in integers.

A map y = W * x + b reads, for its position p along an axis, the elements stride * p + offset of x,
for the offsets of an `Axis`; elements outside of x are zero. Its length is (n + slack) // stride +
1 for an x of length n, where slack = both paddings - extent of the kernel. Maps compose and add up
to maps of the same kind, at every border, if the conditions below hold; where they do not, the
reason comes back as text.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

__all__ = ["UNIFORM", "Axis", "Geometry", "Reason", "compose", "join"]

Reason = str


@dataclass(frozen=True)
class Axis:
    """One spatial axis of a map: the offsets first, first + step, ..., `count` of them."""

    first: int = 0
    step: int = 1
    count: int = 1
    stride: int = 1
    slack: int = -1

    @property
    def last(self) -> int:
        """The largest offset."""
        return self.first + self.step * (self.count - 1)

    @property
    def padding(self) -> tuple[int, int]:
        """Zeros that are read before and after x; negative where elements of x are not reached."""
        return -self.first, self.slack + self.last + 1

    def after(self, inner: Axis) -> Axis:
        """This axis applied to the result of another one."""
        steps = [inner.stride * self.step] * (self.count > 1) + [inner.step] * (inner.count > 1)
        step = math.gcd(*steps) if steps else 1
        first = inner.stride * self.first + inner.first
        last = inner.stride * self.last + inner.last
        slack = inner.slack + inner.stride * (1 + self.slack)
        return Axis(first, step, (last - first) // step + 1, inner.stride * self.stride, slack)

    def joined(self, other: Axis) -> Axis:
        """The smallest axis with the offsets of both, which have one stride and slack."""
        steps = [a.step for a in (self, other) if a.count > 1] + [abs(self.first - other.first)]
        step = math.gcd(*steps) or 1
        first, last = min(self.first, other.first), max(self.last, other.last)
        return replace(self, first=first, step=step, count=(last - first) // step + 1)

    def sees_zeros_outside(self) -> bool:
        """Whether, beyond both ends of the result, only elements outside of x would be read."""
        return self.last < self.stride and self.first + self.slack + 1 >= 0


@dataclass(frozen=True)
class Geometry:
    """A map's shape.

    Attributes:
        axes: one per spatial axis; () for features along the last axis, of any shape before it;
        None
            for a map that does the same to every element, whatever the shape.
        inputs, outputs: channels; 0 where axes is None.
        groups: of channels, as in a convolution.
        biased: whether b is other than zero.
        reshapes: names of the nodes that change the shape before the last axis, in their order.
    """

    axes: tuple[Axis, ...] | None
    inputs: int = 0
    outputs: int = 0
    groups: int = 1
    biased: bool = False
    reshapes: tuple[str, ...] = ()

    @property
    def kernel(self) -> tuple[int, ...]:
        """Taps along each axis."""
        return tuple(axis.count for axis in self.axes or ())

    @property
    def stride(self) -> int:
        """Positions of x per position of the result, over all axes."""
        return math.prod(axis.stride for axis in self.axes or ())

    @property
    def weights(self) -> int:
        """Elements of W, which are multiply-adds per position, too."""
        return self.outputs * (self.inputs // self.groups) * math.prod(self.kernel)


UNIFORM = Geometry(None)


def compose(outer: Geometry, inner: Geometry) -> Geometry | Reason:
    """The one map that applies `inner`, then `outer`; "" where one is of maps, one of features."""
    biased = outer.biased or inner.biased
    reshapes = inner.reshapes + outer.reshapes
    if outer.axes is None:
        return replace(inner, biased=biased, reshapes=reshapes)
    if inner.axes is not None and len(outer.axes) != len(inner.axes):
        return ""
    problem = _border_problem(outer, inner)
    if problem:
        return problem
    if inner.axes is None:
        return replace(outer, biased=biased, reshapes=reshapes)
    if outer.inputs != inner.outputs:
        return f"channels differ: {inner.outputs} are made, {outer.inputs} are read"
    axes = tuple(o.after(i) for o, i in zip(outer.axes, inner.axes, strict=True))
    groups = math.gcd(outer.groups, inner.groups)
    return Geometry(axes, inner.inputs, outer.outputs, groups, biased, reshapes)


def _border_problem(outer: Geometry, inner: Geometry) -> Reason:
    """Why zeros around the value between two maps are no zeros around x; "" if they are."""
    for index, axis in enumerate(outer.axes or ()):
        if max(axis.padding) <= 0:
            continue
        if inner.biased:
            return "a bias comes before zero padding, which it does not reach"
        if inner.axes is not None and not inner.axes[index].sees_zeros_outside():
            return "a padded convolution follows one whose window reaches over the border"
    return ""


def join(parts: Sequence[Geometry]) -> Geometry | Reason:
    """The one map that is the sum of maps of one x."""
    whole = parts[0]
    for part in parts[1:]:
        result = _join_two(whole, part)
        if isinstance(result, str):
            return result
        whole = result
    return whole


def _join_two(a: Geometry, b: Geometry) -> Geometry | Reason:
    biased = a.biased or b.biased
    if a.reshapes != b.reshapes:
        return "the summands have been reshaped differently"
    if a.axes is None or b.axes is None:
        whole = b if a.axes is None else a
        if whole.axes is None:
            return replace(UNIFORM, biased=biased, reshapes=a.reshapes)
        if whole.inputs != whole.outputs:
            return f"{whole.outputs} channels and the {whole.inputs} of the input are added"
        identity = Geometry((Axis(),) * len(whole.axes), whole.inputs, whole.inputs, whole.inputs)
        return _join_two(replace(identity, biased=biased, reshapes=a.reshapes), whole)
    if len(a.axes) != len(b.axes) or (a.inputs, a.outputs) != (b.inputs, b.outputs):
        return f"summands have {a.outputs} and {b.outputs} channels"
    for one, other in zip(a.axes, b.axes, strict=True):
        if one.stride != other.stride:
            return f"summands have strides {one.stride} and {other.stride}"
        if one.slack != other.slack:
            return "summands differ in size: their paddings do not fit their kernels"
    axes = tuple(one.joined(other) for one, other in zip(a.axes, b.axes, strict=True))
    return Geometry(axes, a.inputs, a.outputs, math.gcd(a.groups, b.groups), biased, a.reshapes)
