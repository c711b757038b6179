"""Stored plans: the same bits as the plan they were made of, and what travels with them."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mobileone
import numpy as np
import pytest
from cases import images
from mobileone import _core
from mobileone.data.config import DataConfig
from stored_plans import MODELS, SHAPE, small_model

pytestmark = pytest.mark.skipif(
    _core.isa() == "none", reason="stored plans need the fused kernels' instruction sets"
)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("shape", [(1, 3, 64, 64), (3, 3, 33, 50)])
@pytest.mark.parametrize("make", MODELS)
def test_the_same_bits_as_the_plan(
    tmp_path: Path, make: Callable[[], mobileone.Model], shape: tuple[int, ...], threads: int
) -> None:
    model = make()
    model.save_plan(tmp_path / "plan", shape, threads)
    plan = mobileone.load_plan(tmp_path / "plan")
    x = images(shape[0], shape[2:])  # type: ignore[arg-type]
    compiled = model.compile(shape, threads=threads)
    np.testing.assert_array_equal(plan(x), compiled(x))
    assert (plan.input_shape, plan.threads) == (shape, threads)
    assert [s["implementation"] for s in plan.steps] == [
        s["implementation"] for s in compiled.steps
    ]


# And what its steps are called.
HOW = [
    ({"algorithm": "direct"}, "direct"),
    ({"algorithm": "strassen"}, "strassen"),
    ({"dtype": "bfloat16"}, "bf16"),
]


@pytest.mark.parametrize(("how", "called"), HOW)
def test_how_every_step_runs_is_stored(tmp_path: Path, how: dict[str, Any], called: str) -> None:
    if "dtype" in how and "bfloat16" not in _core.native_dtypes():
        pytest.skip("needs a CPU with bfloat16")
    model = small_model(widths=[64, 64, 128], depths=[1, 1, 1], se_depths=[0, 0, 0])
    x = images(1, (64, 64))
    model.save_plan(tmp_path / "plan", x.shape, threads=1, **how)
    plan = mobileone.load_plan(tmp_path / "plan")
    compiled = model.compile(x.shape, threads=1, **how)
    np.testing.assert_array_equal(plan(x), compiled(x))
    assert any(called in step["implementation"] for step in plan.steps)
    assert [s["implementation"] for s in plan.steps] == [
        s["implementation"] for s in compiled.steps
    ]


def test_the_direct_plan_is_the_smallest(tmp_path: Path) -> None:
    """Strassen's algorithm keeps seven quarters of the weights that it multiplies."""
    model = small_model(widths=[64, 64, 128], depths=[1, 1, 1], se_depths=[0, 0, 0])
    sizes = {}
    for algorithm in ("direct", "strassen"):
        model.save_plan(tmp_path / algorithm, (1, 3, 64, 64), algorithm=algorithm)
        sizes[algorithm] = (tmp_path / algorithm).stat().st_size
    assert sizes["direct"] < sizes["strassen"]


def test_a_published_variant(tmp_path: Path) -> None:
    model = mobileone.create_model("mobileone_s0", form="inference")
    model.save_plan(tmp_path / "s0.plan", threads=1)
    plan = mobileone.load_plan(tmp_path / "s0.plan")
    assert plan.input_shape == (1, 3, 224, 224)
    x = images(1, (224, 224))
    np.testing.assert_array_equal(plan(x), model.compile(x.shape, threads=1)(x))


def test_a_segmenter(tmp_path: Path) -> None:
    """A map, and the bias that a pooled branch becomes."""
    model = mobileone.create_segmenter("mobileone_s0", form="inference", seed=1)
    x = images(2, (256, 256))
    model.save_plan(tmp_path / "plan", x.shape, threads=1)
    plan = mobileone.load_plan(tmp_path / "plan")
    assert any(step["kind"] == "Bias" for step in plan.steps)
    np.testing.assert_array_equal(plan(x), model.compile(x.shape, threads=1)(x))


def test_what_travels_with_a_plan(tmp_path: Path) -> None:
    model = small_model()
    model.name = "flowers"
    model.class_names = [f"flower {i}" for i in range(7)]
    model.data_config = DataConfig(mean=(0.1, 0.2, 0.3), channel_order="BGR", input_size=(64, 32))
    model.save_plan(tmp_path / "plan", threads=1)
    plan = mobileone.load_plan(os.fsencode(tmp_path / "plan"))  # type: ignore[arg-type]
    assert (plan.name, plan.arch, plan.config) == ("flowers", "custom", model.config)
    assert (plan.class_names, plan.data_config) == (model.class_names, model.data_config)
    assert plan.input_shape == (1, 3, 64, 32)
    pixels = np.random.default_rng(0).integers(0, 256, (1, 64, 32, 3), np.uint8)
    compiled = model.compile(plan.input_shape, threads=1)
    np.testing.assert_array_equal(plan(pixels), compiled(pixels))
    assert "flowers" in repr(plan)


def test_weights_are_used_in_place(stored: Path) -> None:
    """Nothing is packed or copied: the file is mapped, and outlives its name."""
    x = images(2, SHAPE[2:])  # type: ignore[arg-type]
    expected = small_model().compile(SHAPE, threads=1)(x)
    plan = mobileone.load_plan(stored)
    maps = Path("/proc/self/maps")
    if maps.exists():
        assert str(stored) in maps.read_text()
    small_model(seed=4).save_plan(stored, SHAPE, threads=1)  # replaced
    np.testing.assert_array_equal(plan(x), expected)
    stored.unlink()
    np.testing.assert_array_equal(plan(x), expected)
    del plan
    if maps.exists():
        assert str(stored) not in maps.read_text()


def test_the_train_time_form_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "plan"
    path.write_bytes(b"mine")
    with pytest.raises(NotImplementedError, match=r"stage0\S* runs on no fused kernel"):
        small_model(form="train-time").save_plan(path)
    assert path.read_bytes() == b"mine"
    assert os.listdir(tmp_path) == ["plan"]


def test_an_imported_network(tmp_path: Path) -> None:
    """Of whose configuration the graph is a part."""
    onnx_file = tmp_path / "small.onnx"
    small_model().export_onnx(onnx_file)
    model = mobileone.reparameterize(mobileone.load(onnx_file))
    assert model.arch == "imported"
    model.save_plan(tmp_path / "plan", SHAPE, threads=1)
    plan = mobileone.load_plan(tmp_path / "plan")
    x = images(2, SHAPE[2:])  # type: ignore[arg-type]
    np.testing.assert_array_equal(plan(x), model.compile(SHAPE, threads=1)(x))
    assert plan.config == model.config


def test_a_plan_that_is_replaced_or_deleted_goes_on(stored: Path) -> None:
    x = images(2, SHAPE[2:])  # type: ignore[arg-type]
    plan = mobileone.load_plan(stored)
    expected = plan(x)
    small_model(seed=4).save_plan(stored, SHAPE, threads=1)
    assert not np.array_equal(mobileone.load_plan(stored)(x), expected)
    stored.unlink()
    plan.verify()
    np.testing.assert_array_equal(plan(x), expected)
