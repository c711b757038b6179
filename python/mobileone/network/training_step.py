"""TrainingStep: loss and gradients of a network whose parameters an optimizer changes in place."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from mobileone._core import Network, Plan
from mobileone.data.arrays import Float32, as_images
from mobileone.network.bundle import Bundle
from mobileone.network.plan_cache import PlanCache
from mobileone.network.session import Session
from mobileone.network.targets import as_targets
from mobileone.network.training_plans import check_statistics
from mobileone.util.machine.threads import thread_count

__all__ = ["TrainPath", "TrainingStep"]

TrainPath = Literal["auto", "moments", "branches"]
PATHS = ("auto", "moments", "branches")


class TrainingStep:
    """Computes gradients in train mode. Used by one thread at a time.

    It works on a copy of the network's weights: `parameters` are writeable, and what is written
    there counts from the next step on. `publish` brings the weights back into the session. The
    results are the same bits with any number of threads.

    Attributes:
        parameters: every trainable weight by its name in the graph, float32, writeable.
        train_path: how blocks of several branches run: "moments", "branches", or "auto".
        dropout_seed: of the next step, which increases it by one.
        logits: [N, num_classes] of the latest step; None before the first.
    """

    # Whether the loss is computed outside of the plan.
    outer_loss = False

    def __init__(
        self,
        source: Session | Bundle,
        threads: int | None = None,
        train_path: TrainPath = "auto",
    ) -> None:
        if train_path not in PATHS:
            raise ValueError(f"train_path is {train_path!r}; expected one of {', '.join(PATHS)}")
        self._session = source if isinstance(source, Session) else None
        self._bundle = source.bundle if isinstance(source, Session) else source
        self._threads = thread_count(threads).count
        self._plans: PlanCache[Plan] = PlanCache()
        self._gradients: dict[str, Float32] = {}
        self.train_path = train_path
        self.dropout_seed = 0 if self._session is None else self._session.dropout_seed
        self.logits: Float32 | None = None
        self._network, self.parameters = self._bundle.network.writeable_copy()

    @property
    def network(self) -> Network:
        """The weights as they are now: they change with `parameters`. See `snapshot`."""
        return self._network

    def snapshot(self) -> Network:
        """The weights as they are now, in a network of their own."""
        return self._network.writeable_copy()[0]

    def publish(self) -> None:
        """Let the session that this was made from run on the weights as they are now."""
        if self._session is None:
            raise ValueError("this step was made from a Bundle; expected a Session to publish to")
        self._session.amend(network=self.snapshot())
        self._session.dropout_seed = self.dropout_seed
        self._session.plans.clear()

    def load(self, weights: dict[str, Any]) -> None:
        """Take over weights and running statistics by name, such as `snapshot().weights()`."""
        merged = {name: np.array(value) for name, value in self._network.weights().items()}
        unknown = sorted(set(weights) - set(merged))
        if unknown:
            raise ValueError(f"{unknown[0]} is no weight of this network")
        loaded = Network(self._network.graph, {**merged, **weights})
        self._network, self.parameters = loaded.writeable_copy()

    def loss_and_gradients(
        self, x: Any, targets: Any, *, label_smoothing: float = 0.0
    ) -> tuple[float, dict[str, Float32]]:
        """Mean cross entropy of a batch, and its gradient for every trainable weight.

        Running statistics move as in `Model.train` mode.

        Args:
            x: images [N, C, H, W], as `Model.__call__` takes them.
            targets: class indices (N,), or distributions (N, num_classes).
            label_smoothing: 0 to 1; see `network.targets`.

        Returns:
            The loss, and arrays by name that the next step overwrites.

        Raises:
            ValueError: shapes that do not fit, or a batch norm that would see a single value.
            TypeError: dtypes that do not fit.
        """
        bundle = self._bundle
        images = as_images(x, bundle.in_channels, bundle.data_config, bundle.family.min_size)
        wanted = as_targets(targets, images.shape[0], bundle.num_classes, label_smoothing)
        self.logits = np.empty((images.shape[0], bundle.num_classes), np.float32)
        return self._run(images, [self.logits], targets=wanted)

    def _run(
        self, images: Float32, results: list[Float32], **how: Any
    ) -> tuple[float, dict[str, Float32]]:
        """One step, which writes the results; `how`: targets or loss, as `Plan.train_forward`."""
        plan = self._plan(images.shape)
        if not self._gradients:
            self._gradients = {
                name: np.empty(self.parameters[name].shape, np.float32)
                for name in plan.gradient_names
            }
        loss = np.empty((), np.float32)
        outputs = [*results, loss, *(self._gradients[name] for name in plan.gradient_names)]
        self._network = plan.train_forward(self._network, images, outputs, self.dropout_seed, **how)
        self.dropout_seed += 1
        return float(loss), self._gradients

    def _wanted(self) -> tuple[str, ...]:
        """The nodes whose results the loss depends on."""
        return (self._network.graph.output_name,)

    def _plan(self, shape: tuple[int, ...]) -> Plan:
        def make() -> Plan:
            check_statistics(self._network.graph, shape)
            how: dict[str, Any] = {"training": True, "gradients": True}
            how |= {"train_path": self.train_path, "outer_loss": self.outer_loss}
            return Plan(self._network, shape, self._wanted(), self._threads, **how)

        plan = self._plans.get(shape, make)
        for other in self._plans.values():
            if other is not plan:
                other.release_idle()  # activations of whole batches are large
        return plan
