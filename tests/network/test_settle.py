"""What create_model gives batch norms: running statistics that keep activations near 1."""

from __future__ import annotations

import mobileone
import numpy as np
import pytest
from cases import each_family, images
from mobileone._core import Plan, initialize, settle


def norm_results(model: mobileone.Model, size: int) -> list[float]:
    """The root mean square of every batch norm's result, and of the logits."""
    graph = model.network.graph
    names = [node["name"] for node in graph.nodes if node["kind"] == "BatchNorm"]
    names.append(graph.output_name)
    x = images(1, (size, size), seed=1)
    plan = Plan(model.network, x.shape, names, 1)
    results = [np.empty(shape, np.float32) for shape in plan.output_shapes]
    plan.run(x, results)
    return [float(np.sqrt(np.mean(np.square(result, dtype=np.float64)))) for result in results]


# Half a decade of the noise's own size at the start; the deepest net, 44 layers of chance later,
# may be off by two. Fresh statistics, 0 and 1, are off by fifteen.
@pytest.mark.parametrize("size", [64, 224])
@pytest.mark.parametrize("name", ["mobileone_s0", "mobileone_s4", "mobilevit_xxs", "mobilevit_s"])
def test_activations_stay_near_one(name: str, size: int) -> None:
    found = norm_results(mobileone.create_model(name, seed=1), size)
    assert 0.3 < found[0] < 3
    assert min(found) > 0.01
    assert max(found) < 100


@each_family
def test_statistics_follow_from_the_weights_alone(family) -> None:
    model = family.make(seed=3)
    fresh = initialize(model.network.graph, 3)
    expected = model.network.weights()
    for network in (settle(fresh), settle(fresh, threads=1), settle(fresh, threads=3)):
        again = settle(network)  # what a network has does not matter
        for name, value in network.weights().items():
            np.testing.assert_array_equal(value, expected[name], err_msg=name)
            np.testing.assert_array_equal(again.weights()[name], value, err_msg=name)
    changed = [
        name for name, value in fresh.weights().items() if not np.array_equal(value, expected[name])
    ]
    assert changed == [n for n in expected if n.endswith(("running_mean", "running_var"))]


def test_a_network_without_batch_norms_stays_as_it_is() -> None:
    model = mobileone.create_model("mobileone_mu0", form="inference", seed=5)
    fresh = initialize(model.network.graph, 5).weights()
    for name, value in model.network.weights().items():
        np.testing.assert_array_equal(value, fresh[name], err_msg=name)
