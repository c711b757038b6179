"""MobileViT on the engine against PyTorch in float64: forms, sizes, threads, training, copies."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import mobileone
import numpy as np
import pytest
import torch
from cases import FORMS, arrays, exact, images
from mobileone import _core
from mobileone.verification.rounding import rounding_bound
from numpy.typing import NDArray
from torch_mobilevit import SMALL, Config, MobileViT, arguments, create, fused

# Whole vectors everywhere, where SMALL has none; two transformers in a row; one class.
EVEN = Config(
    (16, 16, 32, 32),
    (None, (16, 32, 2), (32, 64, 1), (48, 16, 1)),
    2,
    64,
    depths=(1, 1, 1, 1),
    num_classes=1,
)
CONFIGS = {"small": SMALL, "even": EVEN}
DROPOUTS = {"dropout": 0.2, "ffn_dropout": 0.1, "classifier_dropout": 0.3}
# Both even, both odd, the smallest, and maps narrower than the patch.
SIZES = [(64, 64), (57, 83), (32, 32), (96, 33)]


@cache
def reference(name: str, form: str = "train-time") -> MobileViT:
    module = create(CONFIGS.get(name, name))
    return module if form == "train-time" else fused(module)


def fresh(name: str, form: str = "train-time", **dropouts: float) -> mobileone.Model:
    module = reference(name)
    made = mobileone.create_model("mobilevit_custom", **{**arguments(module.config), **dropouts})
    network = _core.Network(made.graph, arrays(module))
    model = mobileone.Model(network, made.config, arch=made.arch)
    return model if form == "train-time" else mobileone.reparameterize(model)


@cache
def engine(name: str, form: str = "train-time") -> mobileone.Model:
    return fresh(name, form)


def outputs_of(module: MobileViT, x: NDArray) -> list[NDArray]:
    """Every level, then the logits."""
    with torch.no_grad():
        maps = module.features(exact(x))
        return [*(level.numpy() for level in maps), module.head(maps[-1]).numpy()]


def run(
    model: mobileone.Model, x: NDArray, threads: int, backend: str = "onednn", **options: object
) -> list[NDArray]:
    """Every level, then the logits, from one plan; then the batch statistics of training."""
    names = [*model.graph.feature_names, model.graph.output_name]
    plan = _core.Plan(model.network, x.shape, names, threads, backend=backend, **options)
    found = [np.full(shape, np.nan, np.float32) for shape in plan.output_shapes]
    plan.run(x, found)
    return found


def assert_within(
    found: Sequence[NDArray], expected: Sequence[NDArray], bounds: Sequence[float]
) -> None:
    for level, (a, b, bound) in enumerate(zip(found, expected, bounds, strict=True)):
        assert a.shape == b.shape
        assert np.abs(a - b).max() <= bound, f"level {level}"


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("form", FORMS)
def test_every_size_and_batch(name: str, form: str, size: tuple[int, int]) -> None:
    model = engine(name, form)
    for batch in (1, 2, 5):
        x = images(batch, size, seed=batch)
        expected = outputs_of(reference(name), x)
        bounds = rounding_bound(model, x)
        for backend in ("onednn", "auto"):
            found = run(model, x, 1, backend)
            assert_within(found, expected, [*bounds.levels, bounds.logits])


@pytest.mark.parametrize("name", CONFIGS)
@pytest.mark.parametrize("threads", [2, 3, 8])
def test_any_number_of_threads(name: str, threads: int) -> None:
    x, model = images(3, (57, 83)), engine(name, "inference")
    bounds = rounding_bound(model, x)
    found = run(model, x, threads)
    assert_within(found, outputs_of(reference(name), x), [*bounds.levels, bounds.logits])


@pytest.mark.parametrize(
    "size", [(160, 160), (192, 192), (224, 224), (256, 256), (288, 288), (320, 320), (191, 257)]
)
def test_a_published_variant_at_many_scales(size: tuple[int, int]) -> None:
    """One loaded model for all: the graph does not depend on the size."""
    x = images(1, size, seed=size[0])
    expected = outputs_of(reference("mobilevit_xxs"), x)
    for form in FORMS:
        model = engine("mobilevit_xxs", form)
        bounds = rounding_bound(model, x, samples=1)
        found = [*model.features(x), model(x)]
        assert_within(found, expected, [*bounds.levels, bounds.logits])
        assert np.abs(model.compile(x.shape, backend="onednn")(x) - expected[-1]).max() <= (
            bounds.logits
        )


def test_the_bounds_catch_a_softmax_over_queries() -> None:
    """A wrong axis is the likeliest mistake, and hides where attention is nearly even."""
    module, x = copy.deepcopy(reference("small")), images(1, (64, 64))
    expected = outputs_of(module, x)[-1]
    bound = rounding_bound(engine("small"), x).logits

    def transposed(packed: torch.Tensor) -> torch.Tensor:
        q, k, v = module.get_submodule("layer_2.2.global_rep.0.pre_norm_mha.1.attention").split(
            packed
        )
        scores = q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5
        return (scores.softmax(-2) @ v).transpose(1, 2).flatten(2)

    for part in module.modules():
        if type(part).__name__ == "Attention":
            part.forward = transposed  # type: ignore[method-assign]
    assert np.abs(outputs_of(module, x)[-1] - expected).max() > 100 * bound


def test_the_generic_backend_runs_every_operator() -> None:
    for form in FORMS:
        steps = engine("small", form).compile((1, 3, 57, 83), backend="onednn").steps
        assert not [s["name"] for s in steps if s["implementation"].startswith("fused")]
        kinds = {kind.split("+")[0] for kind in (s["kind"] for s in steps)}
        assert kinds >= {"Attention", "Concat", "Fold", "LayerNorm", "Linear", "Resize", "Unfold"}
        norms = [s for s in steps if s["kind"].startswith("BatchNorm")]
        assert bool(norms) == (form == "train-time")


def test_resizes_cost_nothing_where_the_size_fits() -> None:
    model = engine("mobilevit_xxs", "inference")
    for size, resizes in ((256, 0), (224, 2)):
        steps = model.compile((1, 3, size, size), backend="onednn").steps
        assert sum(s["kind"] == "Resize" for s in steps) == resizes


@pytest.mark.parametrize("form", FORMS)
def test_changing_sizes_keep_a_bounded_number_of_plans(form: str) -> None:
    model, first = fresh("small", form), images(2, (64, 64))
    expected, capacity = model(first), model.plans.capacity
    largest = 0
    for extra in range(3 * capacity):
        model(images(1 + extra % 2, (64 + 4 * extra, 96), seed=extra))
        assert len(model.plans) <= capacity
        if extra == 2 * capacity:
            largest = model.memory_report()["packed"]
    assert model.memory_report()["packed"] == largest > 0  # weights are packed once for all sizes
    np.testing.assert_array_equal(model(first), expected)


@pytest.mark.parametrize("name", [*CONFIGS, "mobilevit_xxs"])
def test_plans_of_any_size_and_thread_count_share_weights(name: str) -> None:
    """What one plan packs, and another finds in the cache, is in the order that both read."""
    module, model = reference(name), fresh(name, "inference")
    cases = [((64, 64), 1), ((33, 32), 2), ((57, 83), 1), ((96, 33), 1), ((224, 224), 3)]
    plans = [model.compile((1, 3, *size), threads=threads) for size, threads in cases]
    for plan in plans:
        x = images(1, plan.input_shape[2:])
        bound = rounding_bound(model, x, (), samples=1).logits
        assert np.abs(plan(x) - outputs_of(module, x)[-1]).max() <= bound


@pytest.mark.parametrize(("name", "threads"), [("small", 1), ("even", 1), ("small", 2)])
def test_training_matches_pytorch(name: str, threads: int) -> None:
    x, module = images(3, (57, 83), seed=1), copy.deepcopy(reference(name)).train()
    model = fresh(name).train()
    bounds = rounding_bound(model, x, samples=8)
    expected = outputs_of(module, x)
    found = run(model, x, threads, training=True)
    assert_within(found[: len(expected)], expected, [*bounds.levels, bounds.logits])

    before = model.state_dict()
    assert np.abs(model(x) - expected[-1]).max() <= bounds.logits
    state = model.state_dict()
    assert set(bounds.statistics) == {k for k in state if k.endswith(("running_mean", "_var"))}
    for key, value in module.state_dict().items():
        wanted = value.numpy()
        if key in bounds.statistics:
            assert np.abs(state[key] - wanted).max() <= bounds.statistics[key], key
            assert not np.array_equal(state[key], before[key])
        else:
            np.testing.assert_array_equal(state[key], wanted.astype(state[key].dtype), err_msg=key)


def test_training_drops_what_the_seed_says() -> None:
    x, model = images(2, (64, 64)), fresh("small", **DROPOUTS).train()
    names = [*model.graph.feature_names, model.graph.output_name]
    logits: list[NDArray] = []
    for seed, threads in enumerate((1, 2, 1)):
        assert model.dropout_seed == seed
        bounds = rounding_bound(model, x, samples=8)
        expected, _ = _core.reference_forward(
            model.network, x, names, training=True, dropout_seed=seed
        )
        found = run(model, x, threads, training=True, dropout_seed=seed)
        assert_within(found[: len(names)], expected, [*bounds.levels, bounds.logits])
        logits.append(model(x))
        assert np.abs(logits[-1] - expected[-1]).max() <= bounds.logits
        assert np.abs(logits[-1] - logits[seed - 1]).max() > bounds.logits or seed == 0


def test_dropout_is_left_out_of_eval_mode_and_of_the_inference_form() -> None:
    x, model = images(2, (64, 64)), fresh("small", **DROPOUTS)
    kinds = {node["kind"] for node in model.graph.nodes}
    assert "Dropout" in kinds
    steps = model.compile(x.shape, backend="onednn").steps
    assert "Dropout" not in {step["kind"] for step in steps}
    np.testing.assert_array_equal(model(x), engine("small")(x))
    deployed = mobileone.reparameterize(model)
    assert "Dropout" not in {node["kind"] for node in deployed.graph.nodes}
    np.testing.assert_array_equal(deployed(x), engine("small", "inference")(x))


@pytest.mark.parametrize("form", FORMS)
def test_one_model_from_many_python_threads(form: str) -> None:
    """Cold: plans are made concurrently, too, and there are more shapes than the cache holds."""
    model = fresh("small", form)
    work = [images(1 + i % 2, (32 + 8 * (i % 11), 48), seed=i) for i in range(22)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(model, work))
    for x, logits in zip(work, found, strict=True):
        np.testing.assert_array_equal(logits, model(x))


@pytest.mark.parametrize(("threads", "calls"), [(1, 30), (2, 3)])
def test_one_plan_from_many_python_threads(threads: int, calls: int) -> None:
    compiled = engine("even", "inference").compile(
        (2, 3, 57, 64), threads=threads, backend="onednn"
    )
    work = [images(2, (57, 64), seed=seed) for seed in range(6)]
    expected = [compiled(x) for x in work]

    def same(index: int) -> bool:
        return all(np.array_equal(compiled(work[index]), expected[index]) for _ in range(calls))

    with ThreadPoolExecutor(len(work)) as pool:
        assert all(pool.map(same, range(len(work))))


def test_training_calls_wait_for_one_another() -> None:
    model, x = fresh("small", **DROPOUTS).train(), images(2, (32, 32))
    key = "conv_1.block.norm.num_batches_tracked"
    before = int(model.state_dict()[key])
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: model(x), range(12)))
    assert int(model.state_dict()[key]) == before + 12
    assert model.dropout_seed == 12


def test_attention_needs_memory_for_tokens_not_for_their_square() -> None:
    """At four times the tokens, the scores of one head alone would be sixteen times as large."""
    scratch = [
        engine("mobilevit_xxs").compile((1, 3, size, size), backend="onednn").memory()["scratch"]
        for size in (512, 1024)
    ]
    assert scratch[1] <= 4 * scratch[0]


@pytest.mark.parametrize("form", FORMS)
def test_arrays_of_every_kind(form: str) -> None:
    model, x = engine("small", form), images(2, (57, 64))
    expected = model(x)
    strided = np.zeros((2, 64, 57, 6), np.float32).transpose(0, 3, 2, 1)[:, ::2]
    strided[...] = x
    for array in (strided, x.astype(np.float64), torch.from_numpy(x), torch.tensor(x).double()):
        np.testing.assert_array_equal(model(array), expected)
    out = np.empty_like(expected)
    assert model(x, out=out) is out
    np.testing.assert_array_equal(out, expected)


def test_pixels_come_in_the_order_that_the_weights_were_trained_with() -> None:
    """BGR in [0, 1], without a mean: so do the authors' programs feed it."""
    model = engine("small", "inference")
    rgb = np.random.default_rng(0).integers(0, 256, (2, 64, 48, 3), np.uint8)
    bgr = np.ascontiguousarray(rgb[..., ::-1].transpose(0, 3, 1, 2)) / np.float32(255)
    np.testing.assert_allclose(
        model(rgb), model(bgr), rtol=0, atol=rounding_bound(model, bgr).logits
    )
    assert np.abs(model(rgb) - model(bgr[:, ::-1])).max() > 1e-3


@pytest.mark.parametrize("backend", ["onednn", "auto"])
def test_a_pixel_that_is_not_a_number_reaches_every_logit(backend: str) -> None:
    """Nothing on the way, no maximum and no clamp, makes a number of it."""
    x = images(2, (64, 64))
    x[1, 2, 17, 33] = np.nan
    *levels, logits = run(engine("small", "inference"), x, 1, backend)
    for level in levels:
        assert np.isfinite(level[0]).all()
        assert np.isnan(level[1]).any()
    assert np.isfinite(logits[0]).all()
    assert np.isnan(logits[1]).all()


@pytest.mark.parametrize("shape", [(0, 3, 64, 64), (2, 3, 32, 32)])
def test_small_batches_and_images(shape: tuple[int, ...]) -> None:
    x = np.zeros(shape, np.float32)
    assert engine("small")(x).shape == (shape[0], 7)
    assert [level.shape[0] for level in engine("small").features(x)] == [shape[0]] * 5
