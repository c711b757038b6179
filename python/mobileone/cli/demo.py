"""The whole path on a photo: load, reparameterize, verify, run and time both forms, plot; then a
trained network on handwritten digits.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from mobileone.cli.demo_digits import DigitsResult, run_digits
from mobileone.cli.summary import forms_table
from mobileone.data.photo import Photo, centre_crop, load_photo, random_crops
from mobileone.data.pixels import channels_first, normalise
from mobileone.figures.plots import plot_errors, save_demo_figure
from mobileone.measure.benchmarking import benchmark
from mobileone.model import Model, create_model, load, reparameterize
from mobileone.util.tables import Column, Table
from mobileone.verification.equivalence import Equivalence
from mobileone.verification.stages import verify

if TYPE_CHECKING:
    from mobileone.measure.benchmark_result import BenchmarkResult

__all__ = ["DemoResult", "add_options", "run", "run_demo"]

# Train-mode forwards that settle the statistics of seeded weights: with a momentum of 0.1 the
# initial values keep a share of 0.9^30 = 4 %.
_SETTLING_STEPS = 30
_SETTLING_BATCH = 2


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("--image", metavar="FILE", help="a photo; default: Grace Hopper")
    parser.add_argument("--checkpoint", metavar="FILE", help="train-time weights; default: seeded")
    parser.add_argument("--model", default="mobileone_s0", help="variant for seeded weights")
    parser.add_argument("--threads", type=int, metavar="N", help="default: see 'mobileone info'")
    parser.add_argument("--runs", type=int, default=100, metavar="N", help="timed runs per form")
    parser.add_argument("--out", default="demo.png", metavar="FILE", help="where the plot goes")


def run(arguments: argparse.Namespace) -> int:
    """Runs it, and prints what it finds; the exit code."""
    result = run_demo(
        image=arguments.image,
        checkpoint=arguments.checkpoint,
        name=arguments.model,
        threads=arguments.threads,
        runs=arguments.runs,
        out=arguments.out,
        show=lambda text: print(text, flush=True),
    )
    return 0 if result.equivalence else 1


@dataclass(frozen=True)
class DemoResult:
    """What the demo found; ``plot`` is the path of the saved figure or None; ``digits`` what a
    trained network recognised, None with a checkpoint of the caller's own.
    """

    photo: Photo
    models: dict[str, Model]
    equivalence: Equivalence
    benchmark: BenchmarkResult
    plot: str | None
    digits: DigitsResult | None = None


def run_demo(
    *,
    image: str | os.PathLike[str] | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    name: str = "mobileone_s0",
    threads: int | None = None,
    runs: int = 100,
    seed: int = 0,
    out: str | os.PathLike[str] = "demo.png",
    show: Callable[[str], None],
) -> DemoResult:
    """Run the demo; every finding goes to ``show`` as text, as soon as it is there.

    ``checkpoint`` must hold a train-time form; without one the variant ``name`` gets seeded
    weights. ValueError for bad arguments, CheckpointError for bad files.
    """
    before = _train_time_model(checkpoint, name, seed, show)
    height, width = before.input_size
    photo = load_photo(image, short_side=min(height, width) * 256 // 224)
    show(f"photo: {photo.origin}")
    if checkpoint is None:
        _settle_statistics(before, photo, seed)
    models = {"before": before, "after": reparameterize(before)}
    show("\n" + forms_table(models).to_text())

    crop = centre_crop(photo.pixels, before.input_size)
    x = normalise(channels_first(crop[None], 3), before.data_config)
    show("\n" + top_table({label: model(x) for label, model in models.items()}).to_text())
    equivalence = verify(before, models["after"], inputs=x)
    assert isinstance(equivalence, Equivalence)  # of int8 it would be another result
    show(f"\n{equivalence!r}")
    result = benchmark(models, threads=threads, runs=runs, seed=seed)
    show(f"\n{result!r}\n")
    plot = _save_plot(photo, crop, equivalence, result, out, show)
    digits = None
    if checkpoint is None:
        show("")
        digits = run_digits(threads=threads, runs=runs, show=show)
    return DemoResult(photo, models, equivalence, result, plot, digits)


def _train_time_model(
    checkpoint: str | os.PathLike[str] | None, name: str, seed: int, show: Callable[[str], None]
) -> Model:
    if checkpoint is None:
        show(f"weights: {name} with random weights from seed {seed} (for real ones: --checkpoint)")
        return create_model(name, seed=seed)
    model = load(checkpoint)
    show(f"weights: {model.name} from {os.fspath(checkpoint)}")
    if model.form != "train-time":
        raise ValueError(
            f"{os.fspath(checkpoint)} holds the {model.form} form; "
            "expected the train-time form, which the demo reparameterizes"
        )
    return model


def _settle_statistics(model: Model, photo: Photo, seed: int) -> None:
    """Let the running statistics of fresh weights follow real activations, as training does."""
    rng = np.random.default_rng(seed)
    model.train()
    for _ in range(_SETTLING_STEPS):
        crops = random_crops(photo.pixels, _SETTLING_BATCH, model.input_size, rng)
        model(crops)
    model.eval()


def top_table(logits: Mapping[str, npt.NDArray[np.float32]], count: int = 5) -> Table:
    """The classes with the largest logits of one image, side by side for every labelled model."""
    columns, cells = [Column("rank")], []
    for label, values in logits.items():
        order = np.argsort(-values[0], kind="stable")[:count]
        columns += [Column(f"class ({label})"), Column(f"logit ({label})")]
        cells.append([(str(i), f"{values[0, i]:.5f}") for i in order])
    rows = [
        [str(rank + 1), *(text for pair in line for text in pair)]
        for rank, line in enumerate(zip(*cells, strict=True))
    ]
    return Table("largest logits of the photo", columns, rows)


def _save_plot(
    photo: Photo,
    crop: npt.NDArray[np.uint8],
    equivalence: Equivalence,
    result: BenchmarkResult,
    out: str | os.PathLike[str],
    show: Callable[[str], None],
) -> str | None:
    if importlib.util.find_spec("matplotlib") is None:
        show("no plot saved: it needs matplotlib (pip install 'mobileone[plot]')")
        return None
    path = os.fspath(out)
    rows = equivalence.rows
    names, errors, bounds = zip(*((row.name, row.max_abs, row.bound) for row in rows), strict=True)
    panels = [lambda ax: plot_errors(names, errors, bounds, ax), result.plot]
    save_demo_figure(path, crop, photo.origin, panels)
    show(f"plot: {path}")
    return path
