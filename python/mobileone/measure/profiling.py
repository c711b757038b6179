"""Per-step times of a compiled model; the rows add up to the wall time of a run."""

from __future__ import annotations

from mobileone.measure.profile_result import Profile
from mobileone.measure.workload import Source, accuracy_of, label_sources, open_workload
from mobileone.network.inputs import InputSize, input_shape, random_input
from mobileone.util.checks import at_least
from mobileone.util.machine.environment import fingerprint
from mobileone.util.machine.threads import thread_count

__all__ = ["profile"]


def profile(
    model: Source,
    *,
    input_size: InputSize = None,
    batch_size: int = 1,
    threads: int | None = None,
    runs: int = 50,
    seed: int = 0,
) -> Profile:
    """Run a model with a timer around every step.

    ``model`` is a Model, a checkpoint path, a torch.nn.Module or the name of a variant (seeded
    weights, inference form). Times are means over the faster half of ``runs`` runs.
    ValueError for bad arguments.
    """
    runs = at_least("runs", runs, 1)
    ((label, source),) = label_sources([model])
    choice = thread_count(threads)
    workload = open_workload(source, label, seed)
    shape = input_shape(workload.model, input_size, batch_size)
    compiled = workload.model.compile(shape, threads=choice.count)
    x = random_input(shape, seed)
    compiled.time(x, max(3, runs // 10))
    steps, wall_ns = compiled.profile(x, runs)
    protocol = {
        "label": workload.label,
        "form": workload.model.form,
        "input_shape": list(shape),
        "dtype": "float32",
        "int8": accuracy_of(workload.model),
        "threads": choice.count,
        "threads_reason": choice.reason,
        "runs": runs,
        "seed": seed,
    }
    return Profile(steps, round(wall_ns), protocol, _peak_gflops(choice.count), fingerprint())


def _peak_gflops(threads: int) -> float | None:
    """The measured peak of multiply-adds in registers; None on a CPU without AVX2."""
    from mobileone._core import peak_gflops

    try:
        return peak_gflops(threads)
    except NotImplementedError:
        return None
