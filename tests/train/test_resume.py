"""Trainings that are stopped, killed and continued have the weights of those that are not."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import mobileone
import numpy as np
import pytest
import torch
from mobileone.train.trainer import Trainer

from .nets import assert_same, quick, small_model, stripes, weights

IMAGES, LABELS = stripes()
DATA = (IMAGES, LABELS)
OPTIMIZERS = ({}, {"optimizer": "adamw", "learning_rate": 0.01, "accumulation": 2})
FOLDER = Path(__file__).resolve().parents[1]


class StopAfter:
    """Batches, and Ctrl-C while the given one of them all is learned from."""

    def __init__(self, data: Any, batch: int) -> None:
        self.data, self.batch, self.seen = data, batch, 0

    def __len__(self) -> int:
        return len(self.data)

    def __iter__(self) -> Any:
        for x, y in self.data:
            self.seen += 1
            if self.seen == self.batch:
                os.kill(os.getpid(), signal.SIGINT)
            yield x, y


def batches() -> list[Any]:
    return [(IMAGES[i : i + 16], LABELS[i : i + 16]) for i in range(0, 48, 16)]


@pytest.mark.parametrize("fields", OPTIMIZERS, ids=("sgd", "adamw"))
def test_a_checkpoint_at_any_update_continues_bit_by_bit(
    tmp_path: Path, fields: dict[str, Any]
) -> None:
    recipe = quick(batch_size=8, **fields)
    whole = small_model()
    Trainer(whole, recipe).fit(DATA)

    class Copying(Trainer):
        """Keeps every checkpoint."""

        copies = 0

        def save(self, path: Any = None) -> None:
            Copying.copies += 1
            super().save(path or tmp_path / f"{Copying.copies}.safetensors")

    file = tmp_path / "latest.safetensors"
    Copying(small_model(), recipe, checkpoint=file, checkpoint_updates=1).fit(DATA)
    updates = 3 * 6 // recipe.accumulation
    assert Copying.copies == updates + 3, "after every update, and at the end of every epoch"
    for number in (1, Copying.copies // 2, Copying.copies // 2 + 1, Copying.copies):
        model = small_model(seed=7)
        trainer = Trainer(
            model, recipe, checkpoint=tmp_path / f"{number}.safetensors", resume=True, threads=2
        )
        history = trainer.fit(DATA)
        assert_same(weights(model), weights(whole))
        assert len(history.epochs) == 3


def test_ctrl_c_stops_after_the_update_and_keeps_everything(tmp_path: Path) -> None:
    whole = small_model()
    Trainer(whole, quick()).fit(batches())
    model, file = small_model(), tmp_path / "c.safetensors"
    trainer = Trainer(model, quick(), checkpoint=file)
    data = StopAfter(batches(), 5)
    history = trainer.fit(data)
    assert history.interrupted
    assert len(history.epochs) == 1
    assert data.seen == 5, "no further batch was asked for"
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    # In the same process, and in another one.
    other = small_model(seed=3)
    assert not Trainer(other, quick(), checkpoint=file, resume=True).fit(batches()).interrupted
    assert_same(weights(other), weights(whole))
    assert not trainer.fit(batches()).interrupted
    assert_same(weights(model), weights(whole))


def test_a_second_ctrl_c_stops_at_once() -> None:
    class Twice(StopAfter):
        def __iter__(self) -> Any:
            for batch in super().__iter__():
                if self.seen == self.batch:
                    os.kill(os.getpid(), signal.SIGINT)
                yield batch

    with pytest.raises(KeyboardInterrupt):
        Trainer(small_model(), quick()).fit(Twice(batches(), 2))


def test_other_peoples_random_numbers_are_continued_too(tmp_path: Path) -> None:
    """A shuffling DataLoader draws its order from torch's generator when an epoch begins."""
    x = torch.from_numpy(IMAGES.transpose(0, 3, 1, 2).copy())
    dataset = torch.utils.data.TensorDataset(x, torch.from_numpy(LABELS))

    def loader() -> Any:
        return torch.utils.data.DataLoader(dataset, batch_size=16, shuffle=True)

    torch.manual_seed(11)
    whole = small_model()
    Trainer(whole, quick()).fit(loader())
    torch.manual_seed(11)
    file = tmp_path / "c.safetensors"
    stopped = Trainer(small_model(), quick(), checkpoint=file).fit(StopAfter(loader(), 5))
    assert stopped.interrupted
    torch.manual_seed(99)
    model = small_model()
    Trainer(model, quick(), checkpoint=file, resume=True).fit(loader())
    assert_same(weights(model), weights(whole))


CHILD = """
    import os, signal, sys
    sys.path[:0] = [{folder!r}]
    import mobileone.util.files
    from mobileone.train.trainer import Trainer
    from train.nets import quick, small_model, stripes

    place, count = sys.argv[1], int(sys.argv[2])
    replace, calls = os.replace, [0]

    def kill_instead(source, target):
        calls[0] += 1
        if calls[0] == count and place == "during":
            os.kill(os.getpid(), signal.SIGKILL)
        replace(source, target)
        if calls[0] == count and place == "between":
            os.kill(os.getpid(), signal.SIGKILL)

    os.replace = kill_instead
    model = small_model()
    trainer = Trainer(model, quick(), checkpoint=sys.argv[3], checkpoint_updates=1, resume=True)
    trainer.fit(stripes())
    model.save(sys.argv[4])
"""


@pytest.mark.parametrize("place", ["between", "during"])
def test_killed_and_started_again_it_ends_as_if_nothing_had_been(
    tmp_path: Path, place: str
) -> None:
    """SIGKILL after the fifth checkpoint, or while it is written: its file is there, unnamed."""
    whole = small_model()
    Trainer(whole, quick()).fit(DATA)
    file, result = tmp_path / "c.safetensors", tmp_path / "model.safetensors"
    code = textwrap.dedent(CHILD.format(folder=str(FOLDER)))

    def run(count: int) -> int:
        command = [sys.executable, "-c", code, place, str(count), str(file), str(result)]
        return subprocess.run(command, check=False, env={**os.environ}).returncode

    assert run(5) == -signal.SIGKILL
    assert not result.exists()
    assert len(list(tmp_path.glob("*.partial"))) == (1 if place == "during" else 0)
    assert run(1000) == 0
    assert list(tmp_path.glob("*.partial")) == []
    assert_same(weights(mobileone.load(result)), weights(whole))


def test_checkpoints_of_something_else_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "c.safetensors"
    Trainer(small_model(), quick(epochs=1), checkpoint=file).fit(DATA)

    def resume(recipe: Any, model: mobileone.Model | None = None) -> None:
        Trainer(model or small_model(), recipe, checkpoint=file, resume=True)

    with pytest.raises(mobileone.CheckpointError, match=r"trained with epochs 1; the recipe has 2"):
        resume(quick(epochs=2))
    with pytest.raises(
        mobileone.CheckpointError, match=r"stage0\.\S+: found \(8, .*, expected \(9, "
    ):
        resume(quick(epochs=1), small_model(widths=[9, 12]))
    for other, found in (
        (small_model(activation="silu"), "activation None; the model's config has 'silu'"),
        (small_model(eps=1e-3), "eps None; the model's config has 0.001"),
    ):
        with pytest.raises(mobileone.CheckpointError, match=f"trained with {found}"):
            resume(quick(epochs=1), other)
    other = small_model()
    other.data_config = dataclasses.replace(other.data_config, mean=(0.4,) * 3)
    with pytest.raises(mobileone.CheckpointError, match=r"trained with mean \[0\.5, .*has \[0\.4"):
        resume(quick(epochs=1), other)
    data = file.read_bytes()
    file.write_bytes(data.replace(b'\\"config\\": ', b'\\"c0nfig\\": '))
    resume(quick(epochs=1))  # as 0.1.0 wrote them
    file.write_bytes(data.replace(b'\\"totals\\"', b'\\"t0tals\\"'))
    with pytest.raises(mobileone.CheckpointError, match=r"c\.safetensors: damaged state"):
        resume(quick(epochs=1))
    small_model().save(file)
    with pytest.raises(mobileone.CheckpointError, match="expected a training's checkpoint"):
        resume(quick(epochs=1))
    file.unlink()
    resume(quick(epochs=1))  # nothing there yet: it begins


def test_other_teachers_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "c.safetensors"

    def trainer(teachers: list[Any], **how: Any) -> Trainer:
        return Trainer(small_model(), quick(epochs=2), checkpoint=file, teachers=teachers, **how)

    known, other = small_model(seed=9), small_model(seed=10)
    for first, others in (([], [known]), ([known], []), ([known], [other]), ([known], [np.ones])):
        trainer(first, overwrite=True).save()
        with pytest.raises(mobileone.CheckpointError, match=r"was trained with teachers \["):
            trainer(others, resume=True)
        trainer(first, resume=True)


def test_an_epoch_is_gone_on_with_by_as_many_batches(tmp_path: Path) -> None:
    file = tmp_path / "c.safetensors"
    images, labels = DATA
    trainer = Trainer(small_model(), quick(), checkpoint=file, checkpoint_updates=1)

    class Stops(list[Any]):
        def __iter__(self) -> Any:
            yield self[0]
            raise RuntimeError("stopped")

    batches = [(images[:16], labels[:16])] * 3
    with pytest.raises(RuntimeError, match="stopped"):
        trainer.fit(Stops(batches))
    for count in (1, 2, 4):
        again = Trainer(small_model(), quick(), checkpoint=file, resume=True)
        with pytest.raises(ValueError, match=rf"data has {count} batches; expected 3, as in .* 1 "):
            again.fit([batches[0]] * count)
    history = Trainer(small_model(), quick(), checkpoint=file, resume=True).fit(batches)
    assert [epoch.images for epoch in history.epochs] == [48] * 3


def test_a_finished_training_stays_finished(tmp_path: Path) -> None:
    file = tmp_path / "c.safetensors"
    first = small_model()
    Trainer(first, quick(epochs=1), checkpoint=file).fit(DATA)
    model = small_model(seed=8)
    history = Trainer(model, quick(epochs=1), checkpoint=file, resume=True).fit(DATA)
    assert len(history.epochs) == 1
    assert_same(weights(model), weights(first))
    assert np.isfinite(history.epochs[0].loss)


@pytest.mark.parametrize("content", ["training", "weights", "text"])
def test_no_file_is_replaced_unless_told(tmp_path: Path, content: str) -> None:
    file = tmp_path / "c.safetensors"
    if content == "training":
        Trainer(small_model(), quick(epochs=1, batch_size=8), checkpoint=file).fit(DATA)
    elif content == "weights":
        small_model().save(file)
    else:
        file.write_text("no container of tensors")
    before = file.read_bytes()
    found = "a training after 1 epochs, 6 updates" if content == "training" else "no training's"
    with pytest.raises(FileExistsError, match=f"c.safetensors: found .*{found}; expected no file"):
        Trainer(small_model(), quick(), checkpoint=str(file))
    assert file.read_bytes() == before
    trainer = Trainer(small_model(), quick(epochs=1), checkpoint=file, overwrite=True)
    trainer.fit(DATA)
    again = Trainer(small_model(), quick(epochs=1), checkpoint=file, resume=True)
    assert len(again.history.epochs) == 1
