"""The network and recipe of `mobileone train --data digits`; batches that are made ahead."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import mobileone
import pytest
from mobileone.train.ahead import ahead
from mobileone.train.digits import digits_bundle, digits_recipe
from mobileone.train.trainer import Trainer

from .nets import assert_same, weights


def test_digits_twice_with_one_seed_are_the_same_bits_with_any_number_of_threads() -> None:
    pytest.importorskip("sklearn")

    def trained(threads: int) -> mobileone.Model:
        model = mobileone.Model.of(digits_bundle(seed=3))
        recipe = digits_recipe(epochs=1, seed=3)
        history = Trainer(model, recipe, threads=threads).fit("digits")
        assert history.epochs[0].images == 1437 // 64 * 64
        return model

    models = [trained(threads) for threads in (1, 2, 1)]
    assert models[0].class_names == tuple("0123456789")
    for model in models[1:]:
        assert_same(weights(model), weights(models[0]))


def test_digits_killed_from_outside_and_continued_by_other_threads(tmp_path: Path) -> None:
    """SIGKILL to the command in its second epoch, wherever it is then; and the same line again."""
    pytest.importorskip("sklearn")

    def command(name: str, *more: str) -> list[str]:
        words = ["train", "--data", "digits", "--epochs", "3", "--seed", "3", "--quiet"]
        words += ["--out", str(tmp_path / f"{name}.safetensors"), *more]
        return [sys.executable, "-c", f"from mobileone.cli import main; main({words})"]

    subprocess.run(command("whole", "--threads", "2"), check=True, stdout=subprocess.DEVNULL)
    checkpoint = tmp_path / "c.safetensors"
    again = command("resumed", "--checkpoint", str(checkpoint), "--resume", "--threads", "1")
    child = subprocess.Popen(again, stdout=subprocess.DEVNULL)
    while child.poll() is None and not checkpoint.exists():
        time.sleep(0.01)
    child.kill()
    assert child.wait() == -signal.SIGKILL
    assert not (tmp_path / "resumed.safetensors").exists()
    subprocess.run(again, check=True, stdout=subprocess.DEVNULL)
    whole, resumed = (mobileone.load(tmp_path / f"{n}.safetensors") for n in ("whole", "resumed"))
    assert_same(weights(resumed), weights(whole))


def test_the_network_is_small_and_of_four_branches() -> None:
    bundle = digits_bundle()
    assert bundle.config["num_conv_branches"] == 4
    assert 4 * bundle.num_params <= 3_000_000
    assert digits_bundle(num_conv_branches=1).config["num_conv_branches"] == 1
    assert digits_recipe(epochs=30).warmup_epochs == 1


def test_items_are_made_one_ahead_by_another_thread() -> None:
    made: list[tuple[int, int]] = []

    def items() -> Iterator[int]:
        for number in range(4):
            made.append((number, threading.get_ident()))
            yield number

    stream = ahead(items())
    assert next(stream) == 0
    assert list(stream) == [1, 2, 3]
    assert [number for number, _ in made] == [0, 1, 2, 3]
    assert threading.get_ident() not in {thread for _, thread in made}


def test_an_error_comes_where_its_item_would_have() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise ValueError("broken.png")

    stream = ahead(items())
    assert next(stream) == 1
    with pytest.raises(ValueError, match=r"broken\.png"):
        next(stream)


def test_the_variant_without_branches_has_one_convolution_and_its_norm() -> None:
    pytest.importorskip("sklearn")
    from mobileone.train.recipe import Recipe

    from benchmarks.digits_ablations import VARIANTS, model_of

    model = model_of(0, seed=1)
    recipe = digits_recipe(epochs=1, frozen=("*rbr_scale*", "*rbr_skip*"))
    Trainer(model, recipe).fit("digits")
    after = weights(model)
    others = [
        name
        for name in after
        if ("rbr_scale.bn." in name or "rbr_skip." in name) and name.endswith(("weight", "bias"))
    ]
    assert others
    assert all(not after[name].any() for name in others)
    start = weights(model_of(0, seed=1))
    kept = [name for name in after if "rbr_conv.0" in name]
    assert all(not (after[name] == start[name]).all() for name in kept)
    # Every variant is a recipe.
    assert all(isinstance(digits_recipe(**changes), Recipe) for _, changes in VARIANTS.values())
