"""The float64 reference executor and its rounding deviations, against PyTorch in float64."""

from __future__ import annotations

import threading
import time

import mobileone
import numpy as np
import pytest
import torch
from mobileone import _core
from mobileone.verification.rounding import rounding_bound
from torch_mobileone import Config, MobileOne, create, randomize

# Two kinds of narrow net: with squeeze-and-excitation and one branch, and without and with three.
NARROW = {
    "se": Config(8, (8, 17), (2, 1), 1, {"stage2.0": 3, "stage2.1": 5}, num_classes=7),
    "branches": Config(5, (5, 12, 16), (1, 2, 1), 3, num_classes=4, in_channels=2),
}
# From float32's unit roundoff to float64's: bounds scale with it.
FLOAT64 = 2.0**-53 / 2.0**-24


def narrow(kind: str) -> MobileOne:
    return randomize(MobileOne(NARROW[kind]), seed=3)


def noise(module: MobileOne, batch: int, height: int, width: int) -> np.ndarray:
    shape = (batch, module.config.in_channels, height, width)
    return np.random.default_rng(5).standard_normal(shape, dtype=np.float32)


def nodes(model: mobileone.Model) -> list[str]:
    return [*model.graph.feature_names, model.graph.output_name]


def assert_close(found: np.ndarray, expected: np.ndarray, bound: float) -> None:
    """Two float64 computations: each is within `bound` (float32's) times FLOAT64 of the truth."""
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= np.hypot(bound, bound) * FLOAT64


@pytest.mark.parametrize("size", [(33, 47), (64, 64)])
@pytest.mark.parametrize("kind", NARROW)
def test_eval_mode_equals_torch_in_float64(kind: str, size: tuple[int, int]) -> None:
    module = narrow(kind)
    model = mobileone.load(module)
    x = noise(module, 2, *size)
    levels = range(len(model.graph.feature_names))
    bounds = rounding_bound(model, x, levels)
    found, statistics = _core.reference_forward(model.network, x, nodes(model))
    with torch.no_grad():
        maps = module.features(torch.from_numpy(x).double())
        expected = [*maps, module.head(maps[-1])]
    assert statistics == {}
    for a, b, bound in zip(found, expected, [*bounds.levels, bounds.logits], strict=True):
        assert_close(a, b.numpy(), bound)


@pytest.mark.parametrize("kind", NARROW)
def test_train_mode_equals_torch_in_float64(kind: str) -> None:
    module = narrow(kind)
    model = mobileone.load(module).train()
    x = noise(module, 3, 40, 35)
    bounds = rounding_bound(model, x, range(len(model.graph.feature_names)))
    found, statistics = _core.reference_forward(model.network, x, nodes(model), training=True)
    module.train()
    with torch.no_grad():
        maps = module.features(torch.from_numpy(x).double())
        expected = [*maps, module.head(maps[-1])]
    for a, b, bound in zip(found, expected, [*bounds.levels, bounds.logits], strict=True):
        assert_close(a, b.numpy(), bound)
    running = {k: v.numpy() for k, v in module.state_dict().items() if "running_" in k}
    assert set(statistics) == set(running) == set(bounds.statistics)
    for name, values in running.items():
        assert_close(statistics[name], values, bounds.statistics[name])


def test_a_published_variant_equals_torch_in_float64() -> None:
    module = create("mobileone_mu0")
    model = mobileone.load(module)
    x = noise(module, 1, 96, 97)
    (logits,), _ = _core.reference_forward(model.network, x, [model.graph.output_name])
    with torch.no_grad():
        expected = module(torch.from_numpy(x).double()).numpy()
    assert_close(logits, expected, rounding_bound(model, x, ()).logits)


def test_training_changes_neither_the_network_nor_the_model() -> None:
    module = narrow("branches")
    model = mobileone.load(module)
    before = {name: array.tobytes() for name, array in model.state_dict().items()}
    _core.reference_forward(model.network, noise(module, 2, 32, 32), nodes(model), training=True)
    assert before == {name: array.tobytes() for name, array in model.state_dict().items()}


def test_any_strides_and_float64_input() -> None:
    module = narrow("se")
    model = mobileone.load(module)
    x = noise(module, 2, 36, 40)
    wanted = nodes(model)
    expected, _ = _core.reference_forward(model.network, x, wanted)
    for same in (x.astype(np.float64), np.asfortranarray(x), x[::-1, :, ::-1][::-1, :, ::-1]):
        found, _ = _core.reference_forward(model.network, same, wanted)
        for a, b in zip(found, expected, strict=True):
            np.testing.assert_array_equal(a, b)


def test_deviations_are_seeded_and_independent_of_threads() -> None:
    module = narrow("se")
    model = mobileone.load(module)
    x = noise(module, 2, 64, 64)

    def deviations(seed: int, threads: int, training: bool) -> object:
        wanted = nodes(model)
        return _core.rounding_deviation(model.network, x, wanted, 2, seed, training, threads)

    for training in (False, True):
        assert deviations(0, 1, training) == deviations(0, 4, training)
        assert deviations(0, 1, training) != deviations(1, 1, training)


def test_the_gil_is_released() -> None:
    model = mobileone.create_model("mobileone_mu0", seed=0)
    x = np.zeros((4, 3, 224, 224), np.float32)
    span: list[float] = []

    def run() -> None:
        span.append(time.perf_counter())
        _core.reference_forward(model.network, x, [model.graph.output_name], threads=1)
        span.append(time.perf_counter())

    thread = threading.Thread(target=run)
    thread.start()
    ticks = []
    while thread.is_alive():
        ticks.append(time.perf_counter())
        time.sleep(0.001)
    # A call that kept the lock would let this thread run at its start and its end only.
    assert sum(span[0] < tick < span[1] for tick in ticks) >= 5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"nodes": ["stage9"]}, "no node named stage9"),
        ({"x": np.zeros((1, 4, 32, 32))}, "expected \\(batch, 3, height, width\\)"),
        ({"x": np.zeros((3, 32, 32))}, "expected \\(batch, 3, height, width\\)"),
        ({"samples": 0}, "samples is 0; expected at least 1"),
    ],
)
def test_bad_arguments(change: dict[str, object], message: str) -> None:
    model = mobileone.create_model("mobileone_mu0", seed=0)
    arguments = {"x": np.zeros((1, 3, 32, 32)), "nodes": ["linear"], **change}
    with pytest.raises(ValueError, match=message):
        _core.rounding_deviation(model.network, **arguments)


def test_a_single_value_per_channel_has_no_variance() -> None:
    model = mobileone.create_model("mobileone_mu0", seed=0)
    x = np.zeros((1, 3, 32, 32))
    with pytest.raises(ValueError, match="more than one value per channel"):
        _core.reference_forward(model.network, x, ["linear"], training=True)
