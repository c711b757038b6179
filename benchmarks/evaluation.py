"""Pictures per second of `mobileone.evaluate`, of the machine at best, and of timm's validation.

    PYTHONPATH=tests python -m benchmarks.evaluation --pictures 1024 --rounds 6 --threads 2

Each round takes, one after another: decoding alone (an evaluation whose model computes nothing),
the network alone (batches of 32, a plan of one thread on each core), ours, timm's data set,
transforms and fused module with PyTorch's DataLoader, and ours again, which is the null run. A
picture is decoded and computed on the same cores: no pipeline exceeds 1 / (1/decode + 1/network).
JPEG files of 500 × 375 pixels are made of the packaged photo. Memory is that of all processes of
`mobileone evaluate`, over the pictures and over four times as many. timm is left out where it is
not installed; torchvision is stubbed, and its transforms written down, by the tests' own helpers.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import mobileone
import numpy as np
from mobileone.data.photo import load_photo

from benchmarks.runtimes.cpus import choose_cpus

SIZE = (500, 375)
BATCH = 32
CLASSES = 4

# Takes every picture once.
Pass = Callable[[], object]


def make_pictures(folder: Path, count: int) -> int:
    """JPEG files in a folder per class: pieces of the photo with some noise. Their mean bytes."""
    from PIL import Image

    rng = np.random.default_rng(0)
    photo = Image.fromarray(load_photo(None, 256).pixels).convert("RGB").resize((620, 520))
    sizes = []
    for index in range(count):
        path = folder / str(index % CLASSES) / f"{index}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        left, top = (int(v) for v in rng.integers(0, 100, 2))
        piece = np.asarray(photo.crop((left, top, left + SIZE[0], top + SIZE[1])), np.int16)
        noisy = (piece + rng.integers(-12, 13, piece.shape)).clip(0, 255).astype(np.uint8)
        Image.fromarray(noisy).save(path, quality=90)
        sizes.append(path.stat().st_size)
    return round(statistics.mean(sizes))


def contenders(name: str, model: Any, folder: Path, count: int, threads: int) -> dict[str, Pass]:
    """What a round takes, in its order."""

    def nothing(images: Any) -> Any:
        return np.zeros((len(images), CLASSES), np.float32)

    def decode() -> None:
        config = model.data_config
        mobileone.evaluate(
            nothing, folder, data_config=config, workers=threads, threads=threads, progress=False
        )

    def ours() -> None:
        result = mobileone.evaluate(model, folder, threads=threads, progress=False)
        assert result.count == count

    passes: dict[str, Pass] = {
        "decode": decode,
        "network": _network(model, count, threads),
        "ours": ours,
        "timm": ours,
        "ours, again": ours,
    }
    if importlib.util.find_spec("timm") is None:
        del passes["timm"]
    else:
        passes["timm"] = _timm(name, folder, threads)
    return passes


def _network(model: Any, count: int, threads: int) -> Pass:
    compiled = model.compile((BATCH, 3, *model.input_size), threads=1)
    x = np.random.default_rng(0).standard_normal(compiled.input_shape, dtype=np.float32)

    def run() -> None:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(lambda _: compiled(x), range(-(-count // BATCH))))

    return run


def _timm(name: str, folder: Path, threads: int) -> Pass:
    import pytest
    import torch
    from checkpoint.timm_models import deployed, import_timm
    from evaluation.timm_validate import open_folder

    timm = import_timm()
    torch.set_num_threads(threads)
    module = timm.create_model(name, num_classes=CLASSES).eval()
    config = timm.data.resolve_data_config({}, model=module)
    # The transforms stay replaced until the process ends.
    data = open_folder(folder, config, pytest.MonkeyPatch())
    fused = deployed(module)

    def run() -> None:
        loader = torch.utils.data.DataLoader(data, batch_size=BATCH, num_workers=threads)
        with torch.inference_mode():
            for images, _ in loader:
                fused(images)

    return run


def measure(passes: dict[str, Pass], count: int, rounds: int) -> dict[str, list[float]]:
    """Pictures per second of each, by round; a first pass of each is not counted."""
    rates: dict[str, list[float]] = {name: [] for name in passes}
    for index in range(rounds + 1):
        for name, run in passes.items():
            start = time.perf_counter()
            run()
            rates[name].append(count / (time.perf_counter() - start))
        if index == 0:
            rates = {name: [] for name in passes}
    return rates


def report(rates: dict[str, list[float]]) -> None:
    """A Markdown row per round, then the medians."""
    rows = [dict(zip(rates, values, strict=True)) for values in zip(*rates.values(), strict=True)]
    for row in rows:
        row["bound"] = 1 / (1 / row["decode"] + 1 / row["network"])
        row["share of the bound"] = row["ours"] / row["bound"]
        row["again"] = row["ours, again"] / row["bound"]
        row["null"] = row["ours, again"] / row["ours"]
        if "timm" in row:
            row["ours / timm"] = row["ours"] / row["timm"]
    rows.append({name: statistics.median(row[name] for row in rows) for name in rows[0]})
    print("| round | " + " | ".join(rows[0]) + " |\n" + "|---" * (len(rows[0]) + 1) + "|")
    for index, row in enumerate(rows):
        cells = (f"{v:.3f}" if v < 10 else f"{v:.0f}" for v in row.values())
        name = str(index + 1) if index + 1 < len(rows) else "median"
        print(f"| {name} | " + " | ".join(cells) + " |")


def peak_memory(model: Any, folder: Path, threads: int) -> float:
    """Proportional set size, MB, of all processes of `mobileone evaluate` at its largest."""
    with tempfile.TemporaryDirectory() as place:
        weights = Path(place, "model.safetensors")
        model.save(weights)
        command = [sys.executable, "-m", "mobileone", "evaluate", str(weights), str(folder)]
        command += ["--threads", str(threads)]
        largest = 0.0
        errors = Path(place, "errors")
        with (
            errors.open("wb") as file,
            subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=file) as process,
        ):
            while process.poll() is None:
                largest = max(largest, sum(map(_proportional, _tree(process.pid))))
                time.sleep(0.1)
        if process.returncode:
            raise RuntimeError(errors.read_text())
    return largest / 1024


def _tree(root: int) -> list[int]:
    """The process and all that it started."""
    found = [root]
    for process in found:
        try:
            tasks = Path(f"/proc/{process}/task").iterdir()
            found += [int(c) for task in tasks for c in (task / "children").read_text().split()]
        except OSError:
            continue
    return found


def _proportional(process: int) -> int:
    """KiB; 0 where it has ended."""
    try:
        lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


def _four_times(folder: Path, target: Path) -> Path:
    for path in folder.glob("*/*.jpg"):
        for copy in range(4):
            link = target / path.parent.name / f"{path.stem}_{copy}.jpg"
            link.parent.mkdir(parents=True, exist_ok=True)
            os.link(path, link)
    return target


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; 0."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--model", default="mobileone_s0")
    parser.add_argument("--pictures", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--threads", type=int, default=2, help="cores that everything may use")
    options = parser.parse_args(arguments)
    os.sched_setaffinity(0, choose_cpus(options.threads))
    count, threads = options.pictures, options.threads
    model = mobileone.create_model(options.model, seed=0, num_classes=CLASSES)
    model = mobileone.reparameterize(model)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place, "pictures")
        mean = make_pictures(folder, count)
        print(
            f"{options.model}, inference form, {count} JPEG files of {SIZE[0]} × {SIZE[1]} "
            f"({mean / 1000:.0f} kB each), {threads} cores; pictures per second\n"
        )
        passes = contenders(options.model, model, folder, count, threads)
        report(measure(passes, count, options.rounds))
        many = _four_times(folder, Path(place, "many"))
        sizes = [peak_memory(model, where, threads) for where in (folder, many)]
    print(
        f"\nall processes at most: {sizes[0]:.0f} MB, {sizes[1]:.0f} MB with {4 * count} pictures"
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
