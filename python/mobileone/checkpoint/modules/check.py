"""A module's results beside those of the network that it was read as, on the same image."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from mobileone._core import Plan, rounding_deviation
from mobileone.network.tails import tail_bound
from mobileone.util.machine.threads import thread_count

if TYPE_CHECKING:
    from mobileone._core import Network
    from mobileone.checkpoint.modules.reading import ModuleReading
    from mobileone.data.arrays import Float32

__all__ = ["check_results"]

_SAMPLES = 4
# The standard deviation of a rounding error is 0.42 u on average over significands, and u in the
# derived bound (docs/verification.md, section 1).
_SAFETY = 1 / 0.42
# Deviations are local, in runs of as many neighbouring pixels or up to twice that (section 3).
_RUN = 4
# Products of smaller numbers may be no normal float32 numbers, which the engine takes for 0: no
# rounding, and nothing that formulas speak of. Networks that are not trained may shrink them so.
_VANISHING = 2.0**-63


def check_results(reading: ModuleReading, network: Network) -> str:
    """Compare the logits and the feature maps.

    What the engine's own rounding explains is accepted at once: an image whose positive pixels are
    the next smaller numbers, run beside it, rounds everything anew. Only what differs by more
    is held against the derived bound, which takes five runs in float64.

    Returns:
        What could not be compared, and why; "" where all agree.

    Raises:
        NotImplementedError: a difference that float32 rounding does not explain.
    """
    graph = network.graph
    theirs = reading.values(graph)
    if not theirs:
        return "" if reading.problem else "results not compared: none is the network's"
    kinds = {str(tensor.dtype).removeprefix("torch.") for tensor in theirs.values()}
    if kinds - {"float32", "float64"}:
        return f"results not compared: it computes in {', '.join(sorted(kinds))}"
    largest = {name: float(tensor.abs().max()) for name, tensor in theirs.items()}
    for name, value in largest.items():
        if not math.isfinite(value):
            return f"results not compared: those of {name} are not finite"
    small = [name for name, value in largest.items() if 0 < value < _VANISHING]
    theirs = {name: tensor for name, tensor in theirs.items() if name not in small}
    note = f"results not compared: those of {', '.join(small)} vanish" if small else ""
    if not theirs:
        return note
    image = np.ascontiguousarray(reading.image.float().cpu().numpy())
    ours, again = _run(network, image, tuple(theirs))
    errors = {
        name: _largest_difference(tensor.detach().cpu().numpy(), ours[name])
        for name, tensor in theirs.items()
    }
    limits = {
        name: tail_bound(_SAFETY * _deviation(again[name] - values), values.size, 1)
        for name, values in ours.items()
    }
    unexplained = {name: error for name, error in errors.items() if not error <= limits[name]}
    if unexplained:
        _check_bounds(reading, network, image, unexplained)
    return note


def _run(
    network: Network, image: Float32, names: tuple[str, ...]
) -> tuple[dict[str, Float32], dict[str, Float32]]:
    """Results by name, of the image and of the one whose positive pixels are the next smaller."""
    # A positive number's bits, as an integer, are one more than those of the next smaller.
    smaller = np.where(image > 0, (image.view(np.int32) - 1).view(np.float32), image)
    images = np.concatenate([image, smaller])
    plan = Plan(network, images.shape, names, thread_count().count, single_run=True)
    arrays = [np.empty(shape, np.float32) for shape in plan.output_shapes]
    plan.run(images, arrays)
    results = dict(zip(names, arrays, strict=True))
    halves = len(image)
    return (
        {name: values[:halves] for name, values in results.items()},
        {name: values[halves:] for name, values in results.items()},
    )


def _largest_difference(theirs: Any, ours: Float32) -> float:
    """Of float32: rounded by 6e-8 of itself, which no limit is as sharp as."""
    with np.errstate(over="ignore"):  # an infinite one is more than any limit
        difference = theirs.reshape(ours.shape) - ours
    return float(np.abs(difference, out=difference).max(initial=0.0))


def _deviation(difference: Float32) -> float:
    """The largest local root mean square of a map, or that of all where it has few pixels."""
    pixels = math.prod(difference.shape[2:])
    rows = difference.reshape(-1, pixels).astype(np.float64)
    if pixels < _RUN:
        return math.sqrt(np.square(rows).mean())
    count = pixels // _RUN
    runs = rows[:, : count * _RUN].reshape(-1, count, _RUN)
    sums = np.einsum("ijk,ijk->ij", runs, runs)
    rest = rows[:, count * _RUN :]
    sums[:, -1] += np.square(rest).sum(axis=1)
    lengths = np.full(count, _RUN)
    lengths[-1] += rest.shape[1]
    return math.sqrt((sums / lengths).max())


def _check_bounds(
    reading: ModuleReading, network: Network, image: Float32, errors: dict[str, float]
) -> None:
    """NotImplementedError unless rounding explains the errors; both networks round."""
    names = list(errors)
    threads = thread_count().count
    measured: Any = rounding_deviation(network, image, names, _SAMPLES, 0, False, threads)[0]
    shapes = network.graph.shapes(image.shape)
    for name, (_, deviation) in zip(names, measured, strict=True):
        count = math.prod(shapes[name])
        bound = tail_bound(math.sqrt(2) * deviation, count, _SAMPLES)
        if not errors[name] <= bound:
            raise NotImplementedError(
                f"{reading.source}: on seeded noise its {name} differs by {errors[name]:.2e} from "
                f"the network's, more than the {bound:.2e} that rounding explains: it computes "
                "another function"
            )
