"""A module's results beside those of the network that it was read as, on the same image."""

from __future__ import annotations

import math
from collections.abc import Mapping
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

# Differences below this share of a map's largest value need no bound where every call was found to
# be the network's: another function makes larger ones, and bounds take five float64 runs.
_SCREEN = 1e-3
_SAMPLES = 4


def check_results(reading: ModuleReading, network: Network) -> str:
    """Compare the logits and the feature maps.

    Returns:
        Why nothing could be compared; "" where all agree.

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
    image = np.ascontiguousarray(reading.image.float().cpu().numpy())
    ours = _run(network, image, tuple(theirs))
    errors = {}
    for name, tensor in theirs.items():
        values = tensor.detach().cpu().numpy().reshape(ours[name].shape).astype(np.float64)
        if not np.isfinite(values).all():
            return f"results not compared: those of {name} are not finite"
        errors[name] = float(np.abs(values - ours[name]).max(initial=0.0))
    sizes = {name: float(tensor.abs().max()) for name, tensor in theirs.items()}
    if reading.problem or any(not error <= _SCREEN * sizes[n] for n, error in errors.items()):
        _check_bounds(reading, network, image, errors)
    return ""


def _run(network: Network, image: Float32, names: tuple[str, ...]) -> dict[str, Float32]:
    shapes = network.graph.shapes(image.shape)
    results = {name: np.empty(shapes[name], np.float32) for name in names}
    plan = Plan(network, image.shape, names, thread_count().count)
    plan.run(image, list(results.values()))
    return results


def _check_bounds(
    reading: ModuleReading, network: Network, image: Float32, errors: Mapping[str, float]
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
