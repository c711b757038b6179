"""The plans of train mode, which live through all its steps."""

from __future__ import annotations

from collections.abc import Sequence

from mobileone._core import Network, Plan
from mobileone.data.arrays import Float32
from mobileone.network.plan_cache import PlanCache

__all__ = ["TrainingPlans"]


class TrainingPlans:
    """One plan per input shape, wanted outputs and number of threads. Used by one thread at a time.

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
        """
        if network is not self._latest:
            self.plans.clear()  # it may have another graph
        plan = self.plans.get(
            (images.shape, names, threads),
            lambda: Plan(network, images.shape, names, threads, training=True),
        )
        # Activations of whole batches are large: only this step's stay.
        for other in self.plans.values():
            if other is not plan:
                other.release_idle()
        self._latest = plan.train_forward(network, images, list(outputs), dropout_seed)
        return self._latest
