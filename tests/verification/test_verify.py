"""verify accepts honest re-parameterizations, rejects classic mistakes, and blames the stage."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import mobileone
import numpy as np
import pytest
import torch_mobileone

State = dict[str, np.ndarray]
SIZE = 64


@pytest.fixture(scope="module")
def module() -> torch_mobileone.MobileOne:
    return torch_mobileone.create("mobileone_mu1")


@pytest.fixture(scope="module")
def model(module: torch_mobileone.MobileOne) -> mobileone.Model:
    return mobileone.load(module)


@pytest.fixture(scope="module")
def fused(model: mobileone.Model) -> mobileone.Model:
    return mobileone.reparameterize(model)


def changed(model: mobileone.Model, change: Callable[[State], None]) -> mobileone.Model:
    state = {name: array.copy() for name, array in model.state_dict().items()}
    change(state)
    return mobileone.load(state)


def fused_in_float32(state: State, kernel: str, batch_norm: str) -> tuple[np.ndarray, np.ndarray]:
    """Folding as scripts in the wild do it: every step rounded to float32."""
    gamma, beta, mean, var = (
        state[f"{batch_norm}.{name}"] for name in ("weight", "bias", "running_mean", "running_var")
    )
    gain = gamma / np.sqrt(var + np.float32(1e-5))
    folded = state[kernel] * gain[:, None, None, None]
    assert folded.dtype == np.float32
    return folded, beta - mean * gain


@pytest.mark.parametrize("name", mobileone.list_models("mobileone*"))
def test_fused_and_train_time_forms_agree(name: str) -> None:
    model = mobileone.load(torch_mobileone.create(name, seed=2))
    result = mobileone.verify(model, mobileone.reparameterize(model), input_size=SIZE)
    assert result, result
    assert result.first_failure is None
    assert [row.name for row in result.rows] == [
        "stem", "stage 1", "stage 2", "stage 3", "stage 4", "logits",
    ]  # fmt: skip
    assert all(0 < row.max_abs <= row.bound and row.cosine > 0.999999 for row in result.rows)


def test_no_false_alarms_over_weights_seeds_and_sizes() -> None:
    for seed in range(6):
        model = mobileone.load(torch_mobileone.create("mobileone_mu0", seed=seed))
        fused = mobileone.reparameterize(model)
        for size in (32, (47, 65)):
            result = mobileone.verify(model, fused, input_size=size, seed=seed, batch_size=3)
            assert result, result


def test_untrained_weights_whose_signal_grows_agree() -> None:
    model = mobileone.create_model("mobileone_s0", seed=0)
    assert mobileone.verify(model, mobileone.reparameterize(model), input_size=SIZE)


def test_a_network_fused_in_float32_is_accepted(
    model: mobileone.Model, fused: mobileone.Model
) -> None:
    source = {name: array.copy() for name, array in model.state_dict().items()}
    blocks = [name.removesuffix(".weight") for name in fused.state_dict() if "reparam" in name]
    state = {k: v for k, v in source.items() if k.startswith("linear.")}
    for block in {name.removesuffix(".bias").removesuffix(".reparam_conv") for name in blocks}:
        shape = fused.state_dict()[f"{block}.reparam_conv.weight"].shape
        total, bias = np.zeros(shape, np.float32), np.zeros(shape[0], np.float32)
        convs = {k for k in source if k.startswith(f"{block}.rbr_") and k.endswith("conv.weight")}
        branches = [(k, k.replace("conv.weight", "bn")) for k in sorted(convs)]
        if f"{block}.rbr_skip.weight" in source:
            identity = np.zeros((shape[0], shape[1], 1, 1), np.float32)
            identity[range(shape[0]), [c % shape[1] for c in range(shape[0])]] = 1
            source["identity"] = identity
            branches.append(("identity", f"{block}.rbr_skip"))
        for kernel, batch_norm in branches:
            folded, shift = fused_in_float32(source, kernel, batch_norm)
            pad = (shape[2] - folded.shape[2]) // 2
            total += np.pad(folded, [(0, 0), (0, 0), (pad, pad), (pad, pad)])
            bias += shift
        state[f"{block}.reparam_conv.weight"] = total
        state[f"{block}.reparam_conv.bias"] = bias
    result = mobileone.verify(model, state, input_size=SIZE)
    assert result, result
    assert result.rows[-1].max_abs > 0


def other_eps(block: str) -> Callable[[State], None]:
    """Weights whose batch norm computes what the given one would with eps 1e-3."""

    def change(state: State) -> None:
        var, gamma = state[f"{block}.running_var"], state[f"{block}.weight"]
        gamma *= np.sqrt((var + 1e-5) / (var + 1e-3))

    return change


def without_branch(batch_norm: str) -> Callable[[State], None]:
    def change(state: State) -> None:
        state[f"{batch_norm}.weight"][:] = 0
        state[f"{batch_norm}.bias"][:] = 0

    return change


def shifted_kernel(name: str) -> Callable[[State], None]:
    def change(state: State) -> None:
        state[name][:] = np.roll(state[name], 1, axis=3)

    return change


def half_precision(prefix: str) -> Callable[[State], None]:
    def change(state: State) -> None:
        for name, array in state.items():
            if name.startswith(prefix):
                array[...] = array.astype(np.float16)

    return change


@pytest.mark.parametrize(
    ("change", "stage", "hint"),
    [
        (other_eps("stage0.rbr_scale.bn"), "stem", "eps"),
        (other_eps("stage1.0.rbr_conv.0.bn"), "stage 1", "eps"),
        (other_eps("stage2.3.rbr_conv.1.bn"), "stage 2", "eps"),
        (other_eps("stage3.5.rbr_conv.0.bn"), "stage 3", "eps"),
        (other_eps("stage4.1.rbr_conv.0.bn"), "stage 4", "eps"),
        (without_branch("stage2.4.rbr_skip"), "stage 2", "branch"),
        (without_branch("stage3.13.rbr_skip"), "stage 3", "branch"),
        (without_branch("stage4.0.rbr_scale.bn"), "stage 4", "branch"),
        (shifted_kernel("stage3.2.rbr_conv.0.conv.weight"), "stage 3", "branch"),
        (half_precision("stage1.1."), "stage 1", "half precision"),
        (half_precision("linear."), "logits", "classifier"),
    ],
)
def test_mistakes_are_caught_where_they_are_made(
    model: mobileone.Model, change: Callable[[State], None], stage: str, hint: str
) -> None:
    candidate = mobileone.reparameterize(changed(model, change))
    result = mobileone.verify(model, candidate, input_size=SIZE)
    assert not result
    assert result.first_failure == stage, result
    assert hint in result.hint
    assert stage in repr(result)


def test_batch_statistics_instead_of_running_ones(module: Any, model: mobileone.Model) -> None:
    x = np.random.default_rng(0).standard_normal((2, 3, SIZE, SIZE), dtype=np.float32)
    other = mobileone.load(module).train()
    other(x)
    result = mobileone.verify(model, other, input_size=SIZE)
    assert result.first_failure == "stem"


def test_a_model_in_training_mode_is_neither_changed_nor_misjudged(
    module: Any, fused: mobileone.Model
) -> None:
    training = mobileone.load(module).train()
    before = {name: array.tobytes() for name, array in training.state_dict().items()}
    result = mobileone.verify(training, fused, input_size=SIZE)
    assert result, result
    assert training.training
    assert before == {name: array.tobytes() for name, array in training.state_dict().items()}


def test_any_source(
    module: Any, model: mobileone.Model, fused: mobileone.Model, tmp_path: Any
) -> None:
    path = tmp_path / "fused.safetensors"
    fused.save(path)
    for source in (path, str(path), fused.state_dict()):
        assert mobileone.verify(module, source, input_size=SIZE)
    same = mobileone.verify(model, model, input_size=SIZE)
    assert same
    assert all(row.max_abs == row.ratio == 0 and row.cosine == 1 for row in same.rows)
    assert same.top1_agreement == 1


def sparse_image() -> np.ndarray:
    x = np.zeros((1, 3, 96, 96), np.float32)
    x[:, :, 40:46, 50:56] = 50
    return x


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((1, 3, 64, 64), np.float32),
        np.full((3, 3, 50, 41), 300, np.float32),
        sparse_image(),
        np.random.default_rng(1).standard_normal((2, 3, 40, 40)) * 1e-6,
    ],
    ids=["black", "white", "sparse", "faint"],
)
def test_given_images_are_compared_too(
    model: mobileone.Model, fused: mobileone.Model, images: np.ndarray
) -> None:
    result = mobileone.verify(model, fused, inputs=images, input_size=SIZE)
    assert result, result
    assert f"{2 + len(images)} images (2 of noise, {len(images)} given)" in repr(result)


@pytest.mark.parametrize("broken", ["reference", "candidate", "both"])
def test_values_that_are_not_finite_fail(
    model: mobileone.Model, fused: mobileone.Model, broken: str
) -> None:
    def spoil(state: State) -> None:
        state["linear.weight"][3] = 3e38  # finite, but its sums are not

    pair = [
        changed(m, spoil) if broken in (name, "both") else m
        for name, m in (("reference", model), ("candidate", fused))
    ]
    result = mobileone.verify(*pair, input_size=SIZE)
    assert result.first_failure == "logits"
    assert "not finite" in result.hint
    assert math.isnan(result.rows[-1].max_abs)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_images_that_are_not_finite_fail(
    model: mobileone.Model, fused: mobileone.Model, value: float
) -> None:
    images = np.zeros((1, 3, 64, 64), np.float32)
    images[0, 1, 30, 30] = value
    for candidate in (model, fused):
        result = mobileone.verify(model, candidate, inputs=images, input_size=SIZE)
        assert result.first_failure == "stem"
        assert "not finite" in result.hint


def test_what_cannot_be_compared(model: mobileone.Model) -> None:
    verify = mobileone.verify
    with pytest.raises(ValueError, match=r"stem has shape \(2, 64, .*expected \(2, 48"):
        verify(model, mobileone.create_model("mobileone_s1"), input_size=SIZE)
    with pytest.raises(ValueError, match=r"logits has shape \(2, 7\); expected \(2, 1000\)"):
        verify(model, mobileone.create_model("mobileone_mu1", num_classes=7), input_size=SIZE)
    with pytest.raises(ValueError, match="samples is 0"):
        verify(model, model, samples=0)
    with pytest.raises(ValueError, match="batch_size is 0"):
        verify(model, model, batch_size=0)
    with pytest.raises(ValueError, match="input_size is 8"):
        verify(model, model, input_size=8)
    with pytest.raises(ValueError, match="expected 3 channels"):
        verify(model, model, inputs=np.zeros((1, 1, 64, 64), np.float32))


def test_the_result_as_text_html_and_json(model: mobileone.Model, fused: mobileone.Model) -> None:
    good = mobileone.verify(model, fused, input_size=SIZE)
    text = repr(good)
    assert text.startswith(f"{fused.name} (inference) against {model.name} (train-time)\n")
    assert "stage 4" in text
    assert "equivalent: every stage" in text
    assert "<table>" in good._repr_html_()
    data = json.loads(json.dumps(good.to_dict()))
    assert data["equivalent"] is True
    assert data["first_failure"] is None
    assert data["rows"][5]["name"] == "logits"
    assert data["rows"][5]["bound"] == good.rows[5].bound


def test_plot_shows_every_stage_beside_its_bound(
    model: mobileone.Model, fused: mobileone.Model
) -> None:
    import matplotlib

    matplotlib.use("Agg")
    found = mobileone.verify(model, fused, input_size=SIZE)
    axes = found.plot()
    assert [label.get_text() for label in axes.get_yticklabels()] == [r.name for r in found.rows]
    assert list(axes.lines[0].get_xdata()) == [r.bound for r in found.rows]
