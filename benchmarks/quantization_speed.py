"""What int8 brings in time: ours beside float32, bfloat16, NNCF's by OpenVINO and ONNX Runtime's.

    python -m benchmarks.quantization_speed --rivals-python PYTHON [--models mobileone_s0 ...]

The networks and images of `benchmarks.quantization`, which says what accuracy each has. Every
variant has a process of its own; they take turns of some runs, a second process of our int8 beside
(null).
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mobileone
import numpy as np
from mobileone.util.tables import Column, Table

from benchmarks.interleaved import interleaved
from benchmarks.quantization import images, let_rivals_quantize

VARIANTS = ("int8", "null", "float32", "bfloat16", "openvino", "onnxruntime")
SHAPE = (1, 3, 224, 224)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rivals-python", default=sys.executable)
    parser.add_argument("--models", nargs="+", default=[f"mobileone_s{i}" for i in range(5)])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--runs", type=int, default=15, help="of each turn")
    parser.add_argument("--images", type=int, default=8, help="to calibrate on")
    parser.add_argument("--held-out", type=int, default=1)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--worker", choices=VARIANTS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        work(arguments)
        return
    for name in arguments.models:
        with tempfile.TemporaryDirectory() as folder:
            prepare_files(name, Path(folder), arguments)
            print(compare(name, folder, arguments).to_text(), "\n", flush=True)


def prepare_files(name: str, folder: Path, arguments: argparse.Namespace) -> None:
    model, calibration, held_out, _ = images(name, arguments)
    let_rivals_quantize(model, calibration, held_out, folder, arguments.rivals_python)
    model.save(folder / "float32.safetensors")
    mobileone.quantize(model, calibration).save(folder / "int8.safetensors")


def compare(name: str, folder: str, arguments: argparse.Namespace) -> Table:
    options = ["--threads", str(arguments.threads), "--runs", str(arguments.runs)]
    variants = [v for v in VARIANTS if v != "bfloat16" or _has_bfloat16()]
    rows, loads = interleaved(
        "benchmarks.quantization_speed",
        variants,
        [*options, "--folder", folder],
        arguments.threads,
        arguments.rounds + 1,
    )
    # While the first round is taken, some still start.
    ms = {variant: 1e3 * np.array(own[1:]) for variant, own in rows.items()}
    lines = []
    for variant, own in ms.items():
        ratio = np.median(own[:, 1] / ms["int8"][:, 1])
        minima = own[:, 0].min() / ms["int8"][:, 0].min()
        times = own[:, 0].min(), np.median(own[:, 1]), ratio, minima
        lines.append([variant, *(f"{value:.3f}" for value in times)])
    titles = [
        Column("variant", "left"),
        *map(Column, ("min ms", "median ms", "time / int8", "of minima")),
    ]
    notes = [
        f"threads {arguments.threads}, batch 1, {arguments.rounds} rounds, runs {arguments.runs}",
        f"load average {loads[0]:.1f} before",
        "null: our int8 in a second process",
    ]
    return Table(name, titles, lines, notes)


def _has_bfloat16() -> bool:
    try:
        mobileone.create_model("mobileone_s0", form="inference").compile(
            (1, 3, 32, 32), dtype="bfloat16"
        )
    except NotImplementedError:
        return False
    return True


def work(arguments: argparse.Namespace) -> None:
    """Writes the least and the median seconds of a turn for each line that it reads."""
    run = runner(arguments.worker, arguments.folder, arguments.threads)
    for _ in range(20):
        run()
    for _ in sys.stdin:
        seconds = []
        for _ in range(arguments.runs):
            start = time.perf_counter()
            run()
            seconds.append(time.perf_counter() - start)
        # The first of a turn finds another's data in the caches.
        print(json.dumps([min(seconds[1:]), float(np.median(seconds[1:]))]), flush=True)


def runner(variant: str, folder: Path, threads: int) -> Callable[[], Any]:
    x = np.random.default_rng(5).standard_normal(SHAPE, np.float32)
    if variant == "openvino":
        import openvino

        options = {
            "INFERENCE_NUM_THREADS": threads,
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "f32",
        }
        compiled = openvino.Core().compile_model(folder / "nncf.xml", "CPU", options)
        request = compiled.create_infer_request()
        return lambda: request.infer({0: x}, share_inputs=True)
    if variant == "onnxruntime":
        import onnxruntime

        how = onnxruntime.SessionOptions()
        how.intra_op_num_threads = threads
        session = onnxruntime.InferenceSession(
            folder / "onnxruntime_per_channel.onnx", how, providers=["CPUExecutionProvider"]
        )
        return lambda: session.run(None, {"images": x})
    kind = "int8" if variant == "null" else variant
    model = mobileone.load(folder / f"{'int8' if kind == 'int8' else 'float32'}.safetensors")
    own = model.compile(SHAPE, dtype=kind, threads=threads)
    return lambda: own(x)


if __name__ == "__main__":
    main()
