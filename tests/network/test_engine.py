"""Models beyond the published ones, plans and their cache, feature levels, bad arguments."""

from __future__ import annotations

from collections.abc import Callable

import mobileone
import numpy as np
import pytest
import torch
from cases import MOBILEONE, arrays, engine_model, exact, images
from mobileone._core import Plan
from mobileone.network.plan_cache import PlanCache
from torch_mobileone import Config, MobileOne, fused, randomize
from torch_rounding import rounding_bounds

CUSTOM = {
    "one stage": Config(8, (16,), (1,)),
    "widths that fill no vector": Config(3, (5, 17, 33), (1, 2, 1), 2),
    "five stages": Config(8, (8, 16, 24, 32, 40), (1, 1, 1, 1, 1), 3),
    "one channel in, one class": Config(8, (8, 16), (2, 1), 1, {}, 1, 1),
    "four channels in": Config(16, (16, 48), (1, 2), 5, {}, 7, 4),
    "se in some blocks": Config(
        16, (16, 24), (2, 2), 2, {"stage0": 1, "stage1.2": 3, "stage1.3": 2, "stage2.2": 5}, 11
    ),
}


@pytest.mark.parametrize("kind", CUSTOM)
def test_custom_configs_match_pytorch(kind: str) -> None:
    config = CUSTOM[kind]
    module = randomize(MobileOne(config), 1)
    model = mobileone.load(arrays(module))
    x = images(2, (45, 70), channels=config.in_channels)
    levels = range(1 + len(config.widths))
    with torch.no_grad():
        maps = module.features(exact(x))
        expected = [*(level.numpy() for level in maps), module.head(maps[-1]).numpy()]
    for form, reference in (("train-time", module), ("inference", fused(module))):
        if form == "inference":
            model = mobileone.reparameterize(model)
        bounds = rounding_bounds(reference, exact(x), rounded_weights=form == "inference")
        found = [*model.features(x, levels), model(x)]
        for a, b, bound in zip(found, expected, [*bounds.features, bounds.logits], strict=True):
            assert a.shape == b.shape
            assert np.abs(a - b).max() <= bound


@pytest.mark.parametrize("kind", CUSTOM)
def test_create_model_takes_the_same_configs(kind: str) -> None:
    config = CUSTOM[kind]
    model = mobileone.create_model(
        "custom",
        stem_width=config.stem,
        widths=list(config.widths),
        depths=list(config.depths),
        num_conv_branches=config.branches,
        se_widths=config.se_widths,
        num_classes=config.num_classes,
        in_channels=config.in_channels,
    )
    expected = {k: v.shape for k, v in arrays(MobileOne(config).double()).items()}
    assert {k: v.shape for k, v in model.state_dict().items()} == expected
    again = mobileone.create_model("custom", **model.config)
    assert {k: v.shape for k, v in again.state_dict().items()} == expected


def test_create_model_is_seeded() -> None:
    x = images(1, (64, 64))
    first, again, other = (mobileone.create_model("mobileone_mu0", seed=s) for s in (1, 1, 2))
    np.testing.assert_array_equal(first(x), again(x))
    assert not np.array_equal(first(x), other(x))
    assert (first.form, first.training) == ("train-time", False)
    inference = mobileone.create_model("mobileone_mu0", form="inference")
    assert inference.form == "inference"
    assert np.isfinite(inference(x)).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "mobileone_s9"}, "name is 'mobileone_s9'.*mobileone_s0"),
        ({"name": "mobileone_s0", "width": 3}, "'width'"),
        ({"name": "mobileone_s0", "num_classes": -1}, "num_classes is -1"),
        ({"name": "mobileone_s0", "num_conv_branches": 0}, "num_conv_branches is 0"),
        ({"name": "mobileone_s0", "in_channels": -1}, "in_channels is -1"),
        ({"name": "mobileone_s0", "widths": [8, 8]}, "widths has 2 stages and depths 4"),
        ({"name": "mobileone_s0", "depths": [1, 1, 0, 1]}, r"depths\[2\] is 0"),
        ({"name": "mobileone_s0", "se_depths": [0, 0, 11, 0]}, r"se_depths\[2\] is 11"),
        ({"name": "mobileone_s0", "se_widths": {"stage7.0": 4}}, "stage7.0"),
        ({"name": "mobileone_s0", "form": "fused"}, "form is 'fused'"),
        ({"name": "custom", "depths": [1]}, "needs widths"),
        ({"name": "custom", "widths": [8]}, "needs depths"),
        ({"name": "custom", "widths": [], "depths": []}, "widths"),
    ],
)
def test_create_model_names_the_bad_argument(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        mobileone.create_model(**arguments)


def test_feature_levels_in_any_order() -> None:
    model, x = engine_model("mobileone_mu0", "inference"), images(1, (64, 64))
    every = model.features(x)
    for indices in ((4,), (3, 1), (0, 0), (), range(5), np.array([2])):
        found = model.features(x, out_indices=indices)
        assert len(found) == len(indices)
        for index, level in zip(indices, found, strict=True):
            np.testing.assert_array_equal(level, every[index])


@pytest.mark.parametrize("bad", [(5,), (0, -6), (99,)])
def test_unknown_feature_levels(bad: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="out_indices has"):
        engine_model("mobileone_mu0").features(images(1, (64, 64)), out_indices=bad)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((1, 3, 64), r"\(1, 3, 64\)"),
        ((1, 4, 64, 64), "4"),
        ((1, 3, 16, 64), "at least 32"),
        ((0, 3, 64, 64), "at least one image"),
        ((-1, 3, 64, 64), "-1"),
    ],
)
def test_compile_names_the_bad_shape(shape: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        engine_model("mobileone_mu0").compile(shape)


def test_compile_refuses_other_arithmetic_and_other_images() -> None:
    model = engine_model("mobileone_mu0")
    with pytest.raises(ValueError, match="dtype is 'int4'; expected 'float32' or 'bfloat16'"):
        model.compile((1, 3, 64, 64), dtype="int4")
    compiled = model.compile((2, 3, 64, 64))
    for shape in ((1, 3, 64, 64), (2, 3, 64, 65)):
        with pytest.raises(ValueError, match=r"compiled for \(2, 3, 64, 64\)"):
            compiled(np.zeros(shape, np.float32))


def test_a_plan_outlives_its_model() -> None:
    x = images(1, (64, 64))
    model = mobileone.reparameterize(mobileone.create_model("mobileone_mu0", seed=3))
    expected, compiled = model(x), model.compile(x.shape)
    del model
    np.testing.assert_array_equal(compiled(x), expected)


def test_plans_are_cached_and_bounded() -> None:
    model = mobileone.create_model("mobileone_mu0")
    capacity = model.plans.capacity
    model(images(1, (64, 64)))
    assert len(model.plans) == 1
    model(images(1, (64, 64), seed=1))
    assert len(model.plans) == 1
    for extra in range(2 * capacity):
        x = images(1, (64, 65 + extra))
        np.testing.assert_array_equal(model(x), model(x))
        assert len(model.plans) <= capacity
    assert len(model.plans) == capacity


def test_the_least_recently_used_plan_goes_first() -> None:
    network = small_plans()
    cache: PlanCache[Plan] = PlanCache(2)
    made: list[str] = []

    def get(key: str) -> Plan:
        return cache.get(key, lambda: made.append(key) or network(ord(key)))  # type: ignore[func-returns-value]

    assert [get(key).input_shape[2] for key in "abacab"] == [ord(key) for key in "abacab"]
    assert made == list("abcb")
    assert list(cache) == list("ab")


def test_a_plan_made_for_old_weights_is_not_kept() -> None:
    """Another thread's training step may clear the cache while a plan is being made."""
    network = small_plans()
    cache: PlanCache[Plan] = PlanCache(2)

    def make() -> Plan:
        cache.clear()
        return network(32)

    assert cache.get("key", make).input_shape[2] == 32
    assert cache.get("key", lambda: network(33)).input_shape[2] == 33


def small_plans() -> Callable[[int], Plan]:
    """Plans of a small network by the size of their images."""
    model = MOBILEONE.make("inference")
    names = [model.graph.output_name]
    return lambda size: Plan(model.network, (1, 3, size, size), names, 1)
