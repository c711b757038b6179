"""`mobileone train`: its options, and what it leaves behind."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import Any

import mobileone
import numpy as np
import pytest
from mobileone.cli import main
from mobileone.cli import train as command
from mobileone.train.digits import digits_recipe
from mobileone.train.recipe import Recipe
from PIL import Image


def recipe_of(*words: str) -> Recipe:
    parser = argparse.ArgumentParser()
    command.add_options(parser)
    return command._recipe(parser.parse_args(words))


def test_options_are_the_recipes_fields() -> None:
    words = (
        "--data x --optimizer adamw --epochs 7 --batch-size 9 --accumulation 2 --learning-rate 0.5 "
        "--final-learning-rate 0.25 --warmup-epochs 1.5 --warmup-learning-rate 0.125 "
        "--momentum 0.8 --weight-decay 0.02 --final-weight-decay 0.01 --clip-norm 3 "
        "--label-smoothing 0.2 --ema-decay 0.99 --seed 5 --nesterov --no-ema-warmup --frozen a* "
        "--decay-norms-and-biases --frozen b --auto-augment --progressive"
    )
    found, plain = dataclasses.asdict(recipe_of(*words.split())), dataclasses.asdict(Recipe())
    left = {"betas", "epsilon"}  # nobody changes these
    assert {name for name in found if found[name] == plain[name]} == left
    assert found["frozen"] == ("a*", "b")
    assert found["clip_norm"] == 3.0
    bare = recipe_of("--data", "x", "--no-ema", "--no-augmentation")
    assert (bare.ema_decay, bare.augmentation) == (None, None)
    assert recipe_of("--data", "digits") == digits_recipe()
    assert recipe_of("--data", "x") == Recipe()


def test_digits_are_learned_from_and_the_model_is_saved(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("sklearn")
    out, checkpoint = tmp_path / "d.safetensors", tmp_path / "c.safetensors"
    words = ["train", "--data", "digits", "--epochs", "1", "--batch-size", "128", "--quiet"]
    words += ["--out", str(out), "--checkpoint", str(checkpoint)]
    assert main(words) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    assert "train-time form" in captured.out
    model = mobileone.load(out)
    assert model.class_names == tuple("0123456789")
    assert model.config["num_conv_branches"] == 4
    # Another run is not replaced by the way, and nothing is trained in vain.
    before = checkpoint.read_bytes()
    assert main(words) == 1
    said = capsys.readouterr().err
    assert f"{checkpoint}: found a training after 1 epochs" in said
    assert "expected no file yet" in said
    assert checkpoint.read_bytes() == before
    assert main([*words, "--resume", "--overwrite"]) == 2
    assert "expected one of them" in capsys.readouterr().err
    # Nothing is left to do: the same model again.
    assert main([*words, "--resume"]) == 0
    again = mobileone.load(out).state_dict()
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, again[name])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--no-ema", "--ema-decay", "0.9"], "--no-ema and --ema-decay are given"),
        (["--no-ema", "--ema-warmup"], "--no-ema and --ema-warmup are given"),
        (["--no-augmentation", "--auto-augment"], "--no-augmentation and --auto-augment are given"),
        (["--progressive", "--size", "32"], "--progressive and --size are given"),
    ],
)
def test_options_of_which_one_does_nothing(
    options: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["train", "--data", "digits", "--out", str(tmp_path / "x.safetensors"), "--quiet"]
    assert main([*words, *options]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "x.safetensors").exists()


def test_a_file_with_names_is_fine_tuned_on_other_classes(tmp_path: Path) -> None:
    first = mobileone.create_model("custom", num_classes=3, widths=[8, 12], depths=[1, 1])
    first.class_names = ("a", "b", "c")
    first.save(begun := tmp_path / "begun.safetensors")
    words = ["train", "--data", str(folder(tmp_path)), "--arch", str(begun), "--epochs", "1"]
    words += ["--batch-size", "4", "--size", "32", "--out", str(out := tmp_path / "o.safetensors")]
    assert main([*words, "--quiet"]) == 0
    names = mobileone.load(out).class_names
    assert names is not None
    assert set(names).isdisjoint(first.class_names)


def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for name in ("left", "right"):
        (tmp_path / "data" / name).mkdir(parents=True)
        for i in range(4):
            pixels = rng.integers(0, 256, (40, 40, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "data" / name / f"{i}.png")
    return tmp_path / "data"


def test_a_variant_learns_a_folder_from_a_teacher(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    teacher = tmp_path / "teacher.safetensors"
    mobileone.create_model("mobileone_mu0", num_classes=2, seed=4).save(teacher)
    out = tmp_path / "s.safetensors"
    words = ["train", "--data", str(folder(tmp_path)), "--arch", "mobileone_mu0", "--size", "64"]
    words += ["--teacher", str(teacher), "--epochs", "1", "--batch-size", "4", "--out", str(out)]
    assert main(words) == 0
    assert "epoch 1/1" in capsys.readouterr().err
    model = mobileone.load(out)
    assert (model.num_classes, model.class_names) == (2, ("left", "right"))
    assert model.input_size == (64, 64)


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--data", "DATA"], 2, "--arch is missing"),
        (["--data", "nowhere", "--arch", "mobileone_mu0"], 1, "nowhere: expected a folder"),
        (["--data", "digits", "--resume"], 2, "resume is True"),
        (["--data", "digits", "--no-augmentation", "--auto-augment"], 2, "one of them"),
        (["--data", "digits", "--epochs", "0"], 2, "epochs is 0"),
        (["--data", "DATA", "--arch", "nothing.pth"], 1, "nothing.pth"),
        (["--data", "DATA", "--arch", "mobileone_s9"], 2, "neither a file nor a model name"),
        (["--data", "ONE", "--arch", "mobileone_mu0"], 2, "has one class, data; expected two"),
        (["--data", "digits", "--out", "nowhere/model.pth"], 1, "nowhere"),
        (["--data", "digits", "--out", "model.txt"], 2, "weights are not saved as .txt"),
        (["--data", "digits", "--checkpoint", "nowhere/c.safetensors"], 1, "nowhere"),
        (["--data", "digits", "--out", "a.pth", "--checkpoint", "./a.pth"], 2, "are both ./a.pth"),
        (["--data", "digits", "--plot", "losses.txt"], 2, "no figure is a .txt"),
        (["--data", "digits", "--json", "nowhere/history.json"], 1, "nowhere"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(
    tmp_path: Path, words: list[str], code: int, message: str, capsys: Any
) -> None:
    data = folder(tmp_path)
    places = {"DATA": str(data), "ONE": str(data.parent)}
    assert main(["train", *[places.get(word, word) for word in words]]) == code
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.err.count("\n") == 1, "said before the first epoch"
    assert captured.out == ""
