"""The plans of train mode, which live through all its steps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mobileone._core import Graph, Network, Plan
from mobileone.data.arrays import Float32
from mobileone.network.plan_cache import PlanCache

__all__ = ["TrainingPlans", "check_statistics"]


class TrainingPlans:
    """One plan per input shape, wanted outputs, number of threads, and with or without
    gradients. Used by one thread at a time.

    A training plan reads the weights of the network that every step hands over, so that it outlives
    the changes that steps make.

    Attributes:
        plans: the plans, least recently used first.
    """

    def __init__(self) -> None:
        self.plans: PlanCache[Plan] = PlanCache()
        self._latest: Network | None = None

    def step(
        self,
        network: Network,
        images: Float32,
        names: tuple[str, ...],
        outputs: Sequence[Float32],
        *,
        threads: int,
        dropout_seed: int,
    ) -> Network:
        """One forward in train mode.

        Args:
            network: what the last step returned, or any other one.
            images: [N, C, H, W].
            names: of the nodes that are wanted.
            outputs: one array for each of them, which is written.
            threads: that the step uses, at most.
            dropout_seed: says which elements dropout drops.

        Returns:
            The network with the running statistics that the step leaves behind.

        Raises:
            ValueError: a batch norm would see one value per channel.
        """
        plan = self._plan(network, images.shape, names, threads, gradients=False)
        self._latest = plan.train_forward(network, images, list(outputs), dropout_seed)
        return self._latest

    def gradient_step(
        self,
        network: Network,
        images: Float32,
        targets: Float32,
        *,
        threads: int,
        dropout_seed: int,
    ) -> tuple[Network, float, dict[str, Float32]]:
        """The same with the mean cross entropy of `targets` [N, classes] and its gradients.

        Returns:
            The network as `step` does, the loss, and the gradients by name.

        Raises:
            ValueError: as `step`.
        """
        names = (network.graph.output_name,)
        plan = self._plan(network, images.shape, names, threads, gradients=True)
        weights = network.weights()
        gradients = {
            name: np.empty(weights[name].shape, np.float32) for name in plan.gradient_names
        }
        loss = np.empty((), np.float32)
        outputs = [np.empty(targets.shape, np.float32), loss, *gradients.values()]
        self._latest = plan.train_forward(network, images, outputs, dropout_seed, targets)
        return self._latest, float(loss), gradients

    def _plan(
        self,
        network: Network,
        shape: tuple[int, ...],
        names: tuple[str, ...],
        threads: int,
        gradients: bool,
    ) -> Plan:
        def make() -> Plan:
            check_statistics(network.graph, shape)
            return Plan(network, shape, names, threads, training=True, gradients=gradients)

        if network is not self._latest:
            self.plans.clear()  # it may have another graph
        plan = self.plans.get((shape, names, threads, gradients), make)
        # Activations of whole batches are large: only this step's stay.
        for other in self.plans.values():
            if other is not plan:
                other.release_idle()
        return plan


def check_statistics(graph: Graph, shape: tuple[int, ...]) -> None:
    """ValueError where a batch norm would see one value per channel of images of this shape."""
    batch, _, height, width = graph.shapes(shape)[graph.feature_names[-1]]
    if batch * height * width < 2:
        raise ValueError(
            f"x has shape {shape}: in training mode every batch norm needs more than one value "
            "per channel; use a larger batch or image, or model.eval()"
        )
