"""Session: a network while it runs, with its plans, its mode, and the seed of its dropout."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from mobileone._core import Network, Plan
from mobileone.data.arrays import Float32, as_images, output_array
from mobileone.families import graph_of
from mobileone.families.family import TRAIN_TIME
from mobileone.network.bundle import Bundle
from mobileone.network.plan_cache import PlanCache
from mobileone.network.training_plans import TrainingPlans
from mobileone.network.tune_cache import find_choices
from mobileone.util.machine.threads import thread_count

__all__ = ["Session"]

_Run = Callable[[Float32, tuple[str, ...], list[Float32]], None]

_FACTS = ("config", "arch", "name", "report", "data_config")


class Session:
    """Runs a bundle on images of any size. Safe to use from several threads.

    Attributes:
        bundle: what it runs; every training step replaces it.
        training: whether batch norms use batch statistics and update the running ones.
        dropout_seed: of the next training step, which increases it by one.
        plans: the cache of compiled plans, least recently used first.
        training_plans: those of training steps.

    Args:
        threads: of runs in eval mode; None: `util.machine.threads` says how many.
    """

    def __init__(
        self,
        bundle: Bundle,
        *,
        training: bool = False,
        dropout_seed: int = 0,
        threads: int | None = None,
    ) -> None:
        self.bundle = bundle
        self.training = training
        self.dropout_seed = dropout_seed
        self._threads = threads
        self.plans: PlanCache[Plan] = PlanCache()
        self.training_plans = TrainingPlans()
        self._training_lock = threading.Lock()

    def state(self) -> dict[str, Any]:
        """What pickles hold, by the names that they have since 0.1.0."""
        bundle = self.bundle
        return {
            **{key: getattr(bundle, key) for key in _FACTS},
            "network": {name: np.array(w) for name, w in bundle.network.weights().items()},
            "_class_names": bundle.class_names,
            "training": self.training,
            "dropout_seed": self.dropout_seed,
            **({"untrained": dict(bundle.untrained)} if bundle.untrained else {}),
            **({"quantization": bundle.quantization} if bundle.quantization else {}),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> tuple[Session, dict[str, Any]]:
        """The session of `state`, and what else is there."""
        rest = dict(state)
        facts = {key: rest.pop(key) for key in _FACTS}
        facts["class_names"] = rest.pop("_class_names")
        facts["untrained"] = rest.pop("untrained", {})
        facts["quantization"] = rest.pop("quantization", "")
        mode = {key: rest.pop(key) for key in ("training", "dropout_seed")}
        network = Network(graph_of(facts["config"]), rest.pop("network"))
        return cls(Bundle.of(network, **facts), **mode), rest

    def logits(self, x: Any, out: Float32 | None = None) -> Any:
        """Logits [N, num_classes] of images [N, C, H, W]; see `mobileone.Model.__call__`."""
        return self._results(self.images(x), out, self._run)

    def features(
        self, x: Any, out_indices: int | str | Sequence[int] | Sequence[str] | None = None
    ) -> list[Float32]:
        """Feature maps by level; see `mobileone.Model.features`."""
        graph = self.bundle.graph
        wanted = tuple(graph.feature_names)
        if out_indices is not None:
            from mobileone.network.levels import level_names, take_levels

            wanted = take_levels(level_names(graph), out_indices, graph)
        images = self.images(x)
        shapes = graph.shapes(images.shape)
        maps = [np.empty(shapes[name], np.float32) for name in wanted]
        self._run(images, wanted, maps)
        return maps

    def evaluated(self, images: Float32) -> Any:
        """Logits in eval mode, whatever the mode is."""
        return self._results(images, None, self._evaluate)

    def loss_and_gradients(
        self, x: Any, labels: Any, label_smoothing: float
    ) -> tuple[float, dict[str, Float32]]:
        """One training step's; see `mobileone.Model.loss_and_gradients`."""
        from mobileone.network.targets import as_targets

        self.bundle.check_classifies("loss_and_gradients")
        images = self.images(x)
        targets = as_targets(labels, images.shape[0], self.bundle.num_classes, label_smoothing)
        with self._training_lock:
            network, loss, gradients = self.training_plans.gradient_step(
                self.bundle.network,
                images,
                targets,
                threads=thread_count().count,
                dropout_seed=self.dropout_seed,
            )
            self._moved_to(network)
        return loss, gradients

    def _results(self, images: Float32, out: Float32 | None, run: _Run) -> Any:
        """What `run` gives: an array, or by name several of a graph of several outputs."""
        names = tuple(self.bundle.graph.outputs.values())
        shapes = self.bundle.output_shapes(images.shape)
        if len(names) == 1:
            (shape,) = shapes.values()
            results = output_array(out, shape)
            # Of pooled maps the graph's result has two axes more.
            pooled = self.bundle.task == "classification" and not self.bundle.num_classes
            run(images, names, [results[:, :, None, None] if pooled else results])
            return results
        if out is not None:
            raise ValueError(f"out is given; {self.bundle.name} has {len(names)} results")
        maps = [np.empty(shape, np.float32) for shape in shapes.values()]
        run(images, names, maps)
        return dict(zip(shapes, maps, strict=True))

    def amend(self, **changes: Any) -> None:
        """Replace fields of the bundle: between training steps, not during one."""
        with self._training_lock:
            self.bundle = replace(self.bundle, **changes)
            if "network" in changes:
                self.plans.clear()  # they hold the weights of before

    def images(self, x: Any) -> Float32:
        """Images as the network takes them, checked; uint8 pixels are normalised."""
        bundle = self.bundle
        return as_images(x, bundle.in_channels, bundle.data_config, bundle.family.min_size)

    def memory(self) -> dict[str, int]:
        """Bytes by kind, and the number of plans; see `mobileone.Model.memory_report`."""
        report = dict.fromkeys(("weights", "packed", "arena", "scratch", "plans"), 0)
        report["weights"] = sum(array.nbytes for array in self.bundle.network.weights().values())
        for plan in (*self.plans.values(), *self.training_plans.plans.values()):
            memory = plan.memory()
            report["packed"] = memory["packed_weights"]
            report["arena"] += memory["arena"] * memory["contexts"]
            report["scratch"] += memory["scratch"] * memory["contexts"]
            report["plans"] += 1
        return report

    def _run(self, images: Float32, names: tuple[str, ...], outputs: list[Float32]) -> None:
        if self.training and self.bundle.form == TRAIN_TIME:
            self._train(images, names, outputs)
        else:
            self._evaluate(images, names, outputs)

    def _evaluate(self, images: Float32, names: tuple[str, ...], outputs: list[Float32]) -> None:
        if images.shape[0] > 0 and names:
            plan = self._plan(images.shape, names, thread_count(self._threads).count)
            plan.run(images, outputs)

    def _plan(self, shape: tuple[int, ...], names: tuple[str, ...], threads: int) -> Plan:
        network = self.bundle.network

        def make() -> Plan:
            choices = find_choices(network.graph, shape, threads)
            return Plan(network, shape, names, threads, choices=choices)

        return self.plans.get((shape, names, threads), make)

    def _train(self, images: Float32, names: tuple[str, ...], outputs: list[Float32]) -> None:
        with self._training_lock:
            network = self.training_plans.step(
                self.bundle.network,
                images,
                names,
                outputs,
                threads=thread_count().count,
                dropout_seed=self.dropout_seed,
            )
            self._moved_to(network)

    def _moved_to(self, network: Network) -> None:
        """After a training step, whose lock is held."""
        self.bundle = replace(self.bundle, network=network)
        self.dropout_seed += 1
        self.plans.clear()  # they hold the statistics of before
