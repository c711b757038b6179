"""Optimizers against PyTorch's, in float64; averages, sums and norms against their definitions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from mobileone.train.averaging import Average
from mobileone.train.gradients import Gradients
from mobileone.train.optimizers import make_optimizer
from mobileone.train.recipe import Recipe

SHAPES = {"conv.weight": (4, 3, 3, 3), "bn.weight": (4,), "bn.bias": (4,), "fc.weight": (5, 4)}
RATES = [0.1, 0.08, 0.05, 0.05, 0.01]
DECAYS = [1e-2, 8e-3, 5e-3, 1e-3, 0.0]


def arrays(seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {name: rng.standard_normal(shape) for name, shape in SHAPES.items()}


@pytest.mark.parametrize("decay_all", [False, True])
@pytest.mark.parametrize(
    ("fields", "theirs"),
    [
        ({"momentum": 0.9}, lambda p: torch.optim.SGD(p, 1.0, momentum=0.9)),
        ({"momentum": 0.0}, lambda p: torch.optim.SGD(p, 1.0)),
        (
            {"momentum": 0.9, "nesterov": True},
            lambda p: torch.optim.SGD(p, 1.0, momentum=0.9, nesterov=True),
        ),
        (
            {"optimizer": "adamw", "betas": (0.8, 0.95), "epsilon": 1e-6},
            lambda p: torch.optim.AdamW(p, 1.0, betas=(0.8, 0.95), eps=1e-6),
        ),
    ],
)
def test_updates_are_pytorchs(
    fields: dict[str, Any], theirs: Callable[[Any], torch.optim.Optimizer], decay_all: bool
) -> None:
    ours = arrays(0)
    tensors = {name: torch.from_numpy(a.copy()) for name, a in ours.items()}
    groups = [
        {"params": [t for t in tensors.values() if decay_all or t.ndim > 1]},
        {"params": [t for t in tensors.values() if not (decay_all or t.ndim > 1)]},
    ]
    expected = theirs([group for group in groups if group["params"]])
    optimizer = make_optimizer(Recipe(decay_norms_and_biases=decay_all, **fields), ours)
    for step, (rate, decay) in enumerate(zip(RATES, DECAYS, strict=True)):
        gradients = arrays(step + 1)
        for name, tensor in tensors.items():
            tensor.grad = torch.from_numpy(gradients[name].copy())
        for number, group in enumerate(expected.param_groups):
            group["lr"], group["weight_decay"] = rate, decay if number == 0 else 0.0
        expected.step()
        optimizer.update(gradients, rate, decay)
    for name, tensor in tensors.items():
        np.testing.assert_allclose(ours[name], tensor.numpy(), rtol=1e-13, atol=1e-14)


def test_weights_are_changed_in_place_and_stay_float32() -> None:
    for name in ("sgd", "adamw"):
        weights = {key: a.astype(np.float32) for key, a in arrays(0).items()}
        kept = dict(weights)
        optimizer = make_optimizer(Recipe(optimizer=name), weights)
        optimizer.update({k: a.astype(np.float32) for k, a in arrays(1).items()}, 0.1, 1e-4)
        assert all(kept[key] is weights[key] for key in kept)
        assert {a.dtype for a in (*weights.values(), *optimizer.state.values())} == {np.dtype("f4")}
        assert not np.array_equal(kept["bn.bias"], arrays(0)["bn.bias"].astype(np.float32))


@pytest.mark.parametrize(
    "fields", [{"momentum": 0.9}, {"momentum": 0.9, "nesterov": True}, {"optimizer": "adamw"}]
)
def test_the_engines_updates_have_the_bits_of_the_definition(fields: dict[str, Any]) -> None:
    """Strided float32 arrays go by NumPy, contiguous ones by the engine."""

    def float32(seed: int, step: int) -> dict[str, np.ndarray]:
        rng = np.random.default_rng(seed)
        return {
            name: rng.standard_normal((*shape, step)).astype(np.float32)[..., 0]
            for name, shape in {**SHAPES, "long": (20_001,)}.items()
        }

    results = []
    for contiguous in (False, True):
        make = np.ascontiguousarray if contiguous else np.asarray
        weights = {name: make(a) for name, a in float32(0, 2).items()}
        optimizer = make_optimizer(Recipe(**fields), weights)
        for seed, (rate, decay) in enumerate(zip(RATES, DECAYS, strict=True), 1):
            optimizer.update({n: make(a) for n, a in float32(seed, 2).items()}, rate, decay)
        results.append({**weights, **optimizer.state})
    for name, array in results[0].items():
        assert array.tobytes() == results[1][name].tobytes(), name


def test_an_average_follows_statistics_and_copies_counts() -> None:
    first = {"w": np.array([1.0, 2.0]), "mean": np.array([4.0]), "count": np.array(1)}
    average = Average(first)
    average.update({"w": np.array([3.0, 2.0]), "mean": np.array([8.0]), "count": np.array(7)}, 0.75)
    assert average.weights["w"].tolist() == [1.5, 2.0]
    assert average.weights["mean"].tolist() == [5.0]
    assert average.weights["count"] == 7
    assert first["w"].tolist() == [1.0, 2.0]


def test_batches_together_are_the_mean_over_their_images() -> None:
    parts = [(arrays(i), n) for i, n in enumerate((8, 8, 3))]
    together = Gradients()
    for gradients, images in parts:
        together.add(gradients, images)
    assert together.images == 19
    mean, norm = together.take()
    for name in SHAPES:
        expected = sum(g[name] * n for g, n in parts) / 19
        np.testing.assert_allclose(mean[name], expected, rtol=1e-13, atol=1e-15)
    flat = np.concatenate([a.ravel() for a in mean.values()])
    assert norm == pytest.approx(np.linalg.norm(flat), rel=1e-13)
    assert together.images == 0


def test_clipping_scales_all_gradients_alike() -> None:
    gradients = arrays(3)
    together = Gradients()
    together.add(gradients, 4)
    clipped, norm = together.take(clip_norm=0.5)
    for name, array in gradients.items():
        np.testing.assert_allclose(clipped[name], array * (0.5 / norm), rtol=1e-13)
    together.add(gradients, 4)
    kept, _ = together.take(clip_norm=2 * norm)
    for name, array in gradients.items():
        np.testing.assert_array_equal(kept[name], array)
