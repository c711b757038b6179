"""Compiled models travel; levels are chosen as in timm."""

from __future__ import annotations

import copy
import multiprocessing
import pickle
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import mobileone
import numpy as np
import pytest
from cases import FORMS, MOBILEONE, MOBILEVIT, Family, each_family, images
from mobileone.network.levels import level_names, take_levels


@pytest.mark.parametrize(("form", "backend"), [("train-time", "loops"), ("inference", "auto")])
@each_family
def test_pickles_and_deep_copies(family: Family, form: str, backend: str) -> None:
    compiled = family.make(form).compile((2, 3, 48, 64), threads=2, backend=backend)
    x, pixels = images(2, (48, 64)), np.full((2, 3, 48, 64), 7, np.uint8)
    for copied in (pickle.loads(pickle.dumps(compiled)), copy.deepcopy(compiled)):
        assert (copied.input_shape, copied.threads) == ((2, 3, 48, 64), 2)
        assert copied.steps == compiled.steps
        np.testing.assert_array_equal(copied(x), compiled(x))
        np.testing.assert_array_equal(copied(pixels), compiled(pixels))


def run(compiled: Any, x: Any) -> Any:
    return compiled(x)


def test_a_process_pool_takes_them() -> None:
    compiled = MOBILEONE.make("inference").compile((1, 3, 48, 64), threads=1)
    x = images(1, (48, 64))
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        np.testing.assert_array_equal(pool.apply(run, (compiled, x)), compiled(x))


def test_a_stored_plan_pickles_as_its_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    MOBILEONE.make("inference").save_plan(tmp_path / "x.plan", (1, 3, 32, 32))
    monkeypatch.chdir(tmp_path)
    plan = mobileone.load_plan("x.plan")
    packed = pickle.dumps(plan)
    monkeypatch.chdir("/")
    x = images(1, (32, 32))
    np.testing.assert_array_equal(pickle.loads(packed)(x), plan(x))


def test_levels_by_number_from_the_end_and_the_last_ones() -> None:
    model = MOBILEONE.make()
    x = images(1, (64, 64))
    every = model.features(x)
    for asked, expected in (
        ([-1], [2]), ([0, -2], [0, 1]), (1, [2]), (2, [1, 2]), ((2, 0), [2, 0]),
        (np.array([1]), [1]), (range(-2, 0), [1, 2]),
    ):  # fmt: skip
        found = model.features(x, asked)
        assert len(found) == len(expected)
        for a, level in zip(found, expected, strict=True):
            np.testing.assert_array_equal(a, every[level])
    for wrong in ([3], [-4], 0, 4, -1):
        with pytest.raises(ValueError, match="out_indices"):
            model.features(x, wrong)
    with pytest.raises(TypeError):
        model.features(x, 1.5)  # type: ignore[arg-type]


@pytest.mark.parametrize("form", FORMS)
def test_the_map_after_mobilevits_last_convolution(form: str) -> None:
    model = MOBILEVIT.make(form)
    x = images(2, (64, 96))
    every = model.features(x)
    (last,) = model.features(x, [-1])
    assert last.shape == (2, MOBILEVIT.small["head_width"], *every[-1].shape[2:])
    assert last.shape != every[-1].shape
    np.testing.assert_array_equal(model.features(x, [len(every)])[0], last)
    np.testing.assert_array_equal(model.features(x, 1)[0], last)
    weights = model.state_dict()
    logits = last.mean((2, 3)) @ weights["classifier.fc.weight"].T + weights["classifier.fc.bias"]
    np.testing.assert_allclose(logits, model(x), rtol=1e-4, atol=1e-5)


def test_squeeze_and_excite_blocks_pool_maps_that_are_no_levels() -> None:
    model = mobileone.create_model("mobileone_s4")
    assert level_names(model.graph) == model.graph.feature_names
    assert take_levels(["a", "b"], 2) == ("a", "b")


INTERRUPTED = """
import mobileone, sys
print("go", flush=True)
mobileone.profile("mobileone_s4", runs=10**7, threads=1)
"""


def test_ctrl_c_ends_a_profile() -> None:
    environment = [sys.executable, "-c", INTERRUPTED]
    with subprocess.Popen(environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(3)
            process.send_signal(signal.SIGINT)
            assert process.wait(60) != 0
            assert b"KeyboardInterrupt" in process.communicate()[1]
        finally:
            process.kill()


def test_plans_that_fuse_otherwise_share_no_packed_weights() -> None:
    """A convolution alone and the same one at the end of a block are packed otherwise."""
    config = {"stem_width": 32, "widths": [48, 96, 128, 160], "depths": [1, 2, 2, 1]}
    model = mobileone.reparameterize(mobileone.create_model("custom", num_classes=10, **config))
    x = images(16, (32, 32))
    expected = mobileone.load(model.state_dict())(x)
    every = [node["name"] for node in model.graph.nodes if node["kind"] == "Activation"]
    kept = []  # weights are shared while a plan has them
    for batch, names in ((x[:1], every), (x, [model.graph.output_name])):
        plan = mobileone._core.Plan(model.network, batch.shape, names, 1)
        results = [np.empty(shape, np.float32) for shape in plan.output_shapes]
        plan.run(batch, results)
        kept.append(plan)
    np.testing.assert_allclose(results[0], expected, atol=1e-4 * np.abs(expected).max())


def test_bad_arguments_are_named() -> None:
    model = MOBILEONE.make("inference")
    for shape in (64, (1.0, 3, 48, 64), "wide", None):
        with pytest.raises(
            ValueError, match=r"input_shape is .*; expected \(N, C, H, W\), integers"
        ):
            model.compile(shape)  # type: ignore[arg-type]
    for name in ("dtype", "backend", "algorithm"):
        for value in (None, np.float32):
            with pytest.raises(ValueError, match=rf"{name} is .*; expected its name, a string"):
                model.compile((1, 3, 48, 64), **{name: value})
