"""What `benchmark` and `profile` run: a model from any source, an input shape, a seeded input."""

from __future__ import annotations

import operator
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from mobileone.model import Model

__all__ = ["MIN_INPUT_SIZE", "InputSize", "Source", "Workload", "label_sources"]
__all__ += ["at_least", "input_shape", "open_model", "open_workload", "random_input", "total_macs"]

# The stride of the last stage: a smaller image leaves it without a full pixel.
MIN_INPUT_SIZE = 32

Source: TypeAlias = "Model | str | os.PathLike[str]"
InputSize: TypeAlias = "int | tuple[int, int] | None"


@dataclass(frozen=True)
class Workload:
    """A labelled model and the seconds it took to load; None where it was already in memory."""

    label: str
    model: Model
    load_s: float | None


def open_workload(source: Source, label: str | None = None, seed: int = 0) -> Workload:
    """The model of ``source``: a Model as it is, a checkpoint file, or the name of a variant.

    A file is run in the form it holds. A name stands for seeded random weights in the inference
    form; weights do not change the time of a run.
    """
    if not isinstance(source, str | os.PathLike):
        return Workload(label or source.name, source, None)
    start = time.perf_counter()
    model = open_model(source, seed)
    load_s = time.perf_counter() - start
    if not _is_name(source):
        return Workload(label or os.path.basename(source), model, load_s)
    import mobileone

    return Workload(label or os.fspath(source), mobileone.reparameterize(model), None)


def open_model(source: str | os.PathLike[str], seed: int = 0) -> Model:
    """The model in a checkpoint file, or a named variant with seeded weights, train-time form."""
    import mobileone

    if _is_name(source):
        return mobileone.create_model(os.fspath(source), seed=seed)
    return mobileone.load(source)


def _is_name(source: str | os.PathLike[str]) -> bool:
    """True for the name of a variant; ValueError for what is neither that nor like a path."""
    import mobileone

    if not isinstance(source, str) or os.path.exists(source):
        return False
    if source in mobileone.list_models():
        return True
    # Anything that looks like a path goes to load(), whose error names the missing file.
    if os.path.dirname(source) or os.path.splitext(source)[1]:
        return False
    names = ", ".join(mobileone.list_models())
    raise ValueError(f"{source!r} is neither a file nor a model name; expected one of {names}")


def label_sources(
    models: Source | Sequence[Source] | Mapping[str, Source],
) -> list[tuple[str | None, Source]]:
    """One (label, source) pair per model; the labels of a mapping are its keys."""
    if isinstance(models, Mapping):
        pairs: list[tuple[str | None, Source]] = [(str(k), v) for k, v in models.items()]
    elif isinstance(models, list | tuple):
        pairs = [(None, source) for source in models]
    else:
        pairs = [(None, models)]  # type: ignore[list-item]
    if not pairs:
        raise ValueError("models is empty; expected at least one model, path or name")
    for label, source in pairs:
        if not (isinstance(source, str | os.PathLike) or hasattr(source, "compile")):
            where = f" for {label!r}" if label else ""
            raise ValueError(
                f"models{where} holds a {type(source).__name__}; "
                "expected a mobileone Model, a path or a model name"
            )
    return pairs


def input_shape(model: Model, size: InputSize, batch_size: int) -> tuple[int, int, int, int]:
    """(batch, channels, height, width); ``size`` None means the model's own input size."""
    batch = at_least("batch_size", batch_size, 1)
    height, width = model.input_size if size is None else _pair(size)
    return batch, int(model.config["in_channels"]), height, width


def _pair(size: Any) -> tuple[int, int]:
    values = tuple(size) if isinstance(size, list | tuple) else (size, size)
    if len(values) != 2:
        raise ValueError(f"input_size is {size!r}; expected an integer or (height, width)")
    height, width = (at_least("input_size", value, MIN_INPUT_SIZE) for value in values)
    return height, width


def at_least(name: str, value: Any, minimum: int) -> int:
    """``value`` as an int; ValueError naming the argument unless it is an integer >= minimum."""
    try:
        number = operator.index(value)
    except TypeError:
        number = minimum - 1
    if isinstance(value, bool) or number < minimum:
        raise ValueError(f"{name} is {value!r}; expected an integer of at least {minimum}")
    return number


def random_input(shape: tuple[int, ...], seed: int) -> npt.NDArray[np.float32]:
    """Seeded standard-normal pixels, the distribution of normalised images."""
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


def total_macs(model: Model, shape: tuple[int, int, int, int]) -> int:
    """Multiply-adds of one run on a batch of that shape, with attention's matrix products."""
    image = (1, *shape[1:])
    return shape[0] * (model.graph.macs(image) + model.graph.attention_macs(image))
