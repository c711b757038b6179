"""CompiledModel: one plan, for one input shape and thread count."""

from __future__ import annotations

import math
from numbers import Real
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from mobileone._core import Graph, Network, Plan
from mobileone.data.arrays import Float32, as_images, check_shape, output_array

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    from mobileone.data.config import DataConfig
    from mobileone.network.tune_cache import Choices


Piece = TypeVar("Piece")

# Runs are measured in pieces of about this length, so that Ctrl-C is answered between them.
_PIECE_NS = 100_000_000


# What a classifier's graph calls its result: logits, or pooled features.
POOLED = "output"


class CompiledModel:
    """A network compiled for one input shape. Immutable, and safe to call from several threads.

    Pickles and deep copies hold the network, which is compiled again where they arrive.

    Attributes:
        input_shape: (N, C, H, W) that calls must have.
        threads: that a call uses, at most.
        plan: the engine's.
    """

    def __init__(
        self,
        network: Network,
        input_shape: tuple[int, ...],
        threads: int,
        data_config: DataConfig | None = None,
        *,
        dtype: str = "float32",
        backend: str = "auto",
        algorithm: str = "auto",
        tune: str = "model",
        tune_budget_s: float | None = None,
        progress: Callable[[float], None] | None = None,
        min_size: int = 1,
    ) -> None:
        graph = network.graph
        channels = graph.nodes[0]["attributes"]["channels"]
        check_shape(input_shape, channels, min_size)
        if input_shape[0] < 1:
            raise ValueError(f"input_shape is {input_shape}; a plan needs at least one image")
        for name, value in (("dtype", dtype), ("backend", backend), ("algorithm", algorithm)):
            if not isinstance(value, str):
                raise ValueError(f"{name} is {value!r}; expected its name, a string")
        _check_budget(tune_budget_s)
        choices: Choices = {}
        if _measures(tune, dtype, backend, algorithm):
            from mobileone.network.tuning import tuned_for

            choices = tuned_for(
                network, input_shape, threads, budget_s=tune_budget_s, progress=progress
            ).choices()
        elif algorithm == "auto" and dtype == "float32":
            from mobileone.network.tune_cache import find_choices  # a stored plan has its own

            choices = find_choices(graph, input_shape, threads)
        plan = Plan(
            network,
            input_shape,
            list(graph.outputs.values()),
            threads,
            backend=backend,
            algorithm=algorithm,
            choices=choices,
            dtype=dtype,
        )
        self._network = network
        how: dict[str, Any] = {"dtype": dtype, "backend": backend, "algorithm": algorithm}
        self._how = {**how, "min_size": min_size}
        self._adopt(plan, data_config, list(graph.outputs))

    def __getstate__(self) -> dict[str, Any]:
        """What the plan was compiled from."""
        graph = self._network.graph.to_json()
        weights = {name: np.array(w) for name, w in self._network.weights().items()}
        made_for = (self.input_shape, self.threads, self._data_config)
        return {"graph": graph, "weights": weights, "made_for": made_for, "how": self._how}

    def __setstate__(self, state: dict[str, Any]) -> None:
        network = Network(Graph.from_json(state["graph"]), state["weights"])
        CompiledModel.__init__(self, network, *state["made_for"], **state["how"])

    def _adopt(
        self,
        plan: Plan,
        data_config: DataConfig | Callable[[], DataConfig] | None,
        names: Sequence[str] = (POOLED,),
    ) -> None:
        self.input_shape = plan.input_shape
        self.threads = plan.threads
        self._channels = plan.input_shape[1]
        self._data_config = data_config
        self.plan = plan
        self._names = tuple(names)

    @property
    def data_config(self) -> DataConfig | None:
        """What the network expects of its input, if that is known."""
        return self._data_config() if callable(self._data_config) else self._data_config

    def __call__(self, x: Any, out: npt.NDArray[np.float32] | None = None) -> Any:
        """Logits; see `Model.__call__`. `x` must have `input_shape`."""
        images = self._images(x)
        if len(self._names) > 1:
            if out is not None:
                raise ValueError(f"out is given; there are {len(self._names)} results")
            maps = self._outputs()
            self.plan.run(images, maps)
            return dict(zip(self._names, maps, strict=True))
        shape = self.plan.output_shapes[0]
        pooled = self._names == (POOLED,) and len(shape) == 4  # they have two axes more
        logits = output_array(out, shape[:2] if pooled else shape)
        self.plan.run(images, [logits.reshape(shape)])
        return logits

    def _outputs(self) -> list[Float32]:
        return [np.empty(shape, np.float32) for shape in self.plan.output_shapes]

    def time(self, x: Any, runs: int) -> npt.NDArray[np.int64]:
        """Wall time of each of `runs` runs in nanoseconds, measured without the interpreter."""
        images, outputs = self._images(x), self._outputs()
        return np.concatenate(_in_pieces(runs, lambda n: self.plan.time(images, outputs, n), sum))

    def profile(self, x: Any, runs: int = 50) -> tuple[list[dict[str, Any]], float]:
        """Where the time goes: one dict per step, and the wall time of a run in nanoseconds.

        Times are means over the faster half of `runs` runs, so that what is left of the wall time
        after the steps is the engine's own overhead, exactly.

        Returns:
            Steps with name, kind, implementation, input_shapes, output_shape, macs, bytes and
            time_ns; and the wall time.
        """
        images, outputs = self._images(x), self._outputs()
        pieces = _in_pieces(
            runs, lambda n: self.plan.profile(images, outputs, n), lambda piece: sum(piece[1])
        )
        step_ns = [times for piece in pieces for times in piece[0]]
        wall_ns = [time for piece in pieces for time in piece[1]]
        faster_half = np.argsort(wall_ns, kind="stable")[: (runs + 1) // 2]
        times = np.asarray(step_ns, np.float64)[faster_half].mean(axis=0)
        steps = [
            {**step, "time_ns": float(time)}
            for step, time in zip(self.plan.steps, times, strict=True)
        ]
        return steps, float(np.asarray(wall_ns, np.float64)[faster_half].mean())

    @property
    def steps(self) -> list[dict[str, Any]]:
        """What runs, in order: name, kind, implementation, shapes, macs, bytes."""
        return self.plan.steps

    def describe(self) -> str:
        """The steps as a table to print: what each executes, how, on which shapes, and the
        multiply-accumulates and bytes (activations and weights) that it costs.
        """
        from mobileone.util.tables import (
            Column,
            Table,
            bytes_text,
            chain_text,
            count_text,
            threads_text,
        )

        rows = [
            (
                chain_text(step["name"]),
                chain_text(step["kind"]),
                step["implementation"],
                ", ".join(map(str, step["input_shapes"])),
                str(step["output_shape"]),
                count_text(step["macs"]),
                bytes_text(step["bytes"]),
            )
            for step in self.steps
        ]
        titles = ("name", "kind", "implementation", "inputs", "output")
        columns = [*(Column(title, "left") for title in titles), Column("MACs"), Column("bytes")]
        memory = self.memory()
        note = (
            f"{len(rows)} steps, {count_text(sum(step['macs'] for step in self.steps))} MACs; "
            f"weights {bytes_text(memory['packed_weights'])}, "
            f"activations {bytes_text(memory['arena'])}, scratch {bytes_text(memory['scratch'])}"
        )
        title = f"input {self.input_shape}, {threads_text(self.threads)}"
        return Table(title, columns, rows, [note]).to_text()

    def memory(self) -> dict[str, int]:
        """Bytes: packed_weights (shared by all plans of the model), arena, scratch."""
        return self.plan.memory()

    def _images(self, x: Any) -> Float32:
        images = as_images(x, self._channels, self._data_config)
        if images.shape != self.input_shape:
            raise ValueError(
                f"x has shape {images.shape}; this plan was compiled for {self.input_shape}"
            )
        return images


def _check_budget(seconds: float | None) -> None:
    if seconds is not None and not (isinstance(seconds, Real) and 0 < seconds < math.inf):
        raise ValueError(f"tune_budget_s is {seconds!r}; expected seconds, more than 0, or None")


def _measures(tune: str, dtype: str, backend: str, algorithm: str) -> bool:
    """Whether steps are to be measured; ValueError for what cannot be."""
    if tune not in ("model", "measure"):
        raise ValueError(f"tune is {tune!r}; expected 'model' or 'measure'")
    if tune == "measure" and (backend, algorithm) != ("auto", "auto"):
        raise ValueError(
            f"tune='measure' with backend={backend!r} and algorithm={algorithm!r}; expected 'auto' "
            "for both: it is what chooses"
        )
    if tune == "measure" and dtype != "float32":
        raise ValueError(f"tune='measure' with dtype={dtype!r}; expected 'float32'")
    return tune == "measure"


def _in_pieces(
    runs: int, measure: Callable[[int], Piece], length_ns: Callable[[Piece], int]
) -> list[Piece]:
    """`measure(n)` for pieces that add up to `runs`: the first is one run, later ones short."""
    pieces, left = [measure(min(runs, 1))], runs - 1
    while left > 0:
        longest = max(1, _PIECE_NS // max(1, int(length_ns(pieces[0]))))
        pieces.append(measure(min(left, longest)))
        left -= min(left, longest)
    return pieces
