"""What int8 costs in accuracy: ours, NNCF's and ONNX Runtime's, of the same weights and images.

    python -m benchmarks.quantization --rivals-python PYTHON [--models digits mobileone_s0 ...]

PYTHON has nncf, openvino and onnxruntime (`pip install nncf openvino onnxruntime onnx`): this one,
or one of another environment. The digits network that ships with the package is calibrated on
training digits and judged on the writers held out from it (needs scikit-learn); the others have
seeded weights and N(0, 1) images, on which only the SQNR means something.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import mobileone
import numpy as np
from mobileone.cli.demo_digits import DIGITS_CHECKPOINT
from mobileone.data.datasets.digits import split_digits
from mobileone.quantization.numbers import sqnr
from mobileone.util.tables import Column, Table

RIVALS = Path(__file__).with_name("quantization_rivals.py")
DIGITS = "digits"
NETWORKS = (DIGITS, *(f"mobileone_s{i}" for i in range(5)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rivals-python", required=True)
    parser.add_argument("--models", nargs="+", default=NETWORKS, choices=NETWORKS)
    parser.add_argument("--images", type=int, default=32, help="to calibrate on, of seeded nets")
    parser.add_argument("--held-out", type=int, default=16, help="to judge on, of seeded nets")
    parser.add_argument("--ablation", action="store_true", help="every cure off, too")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    found: dict[str, Any] = {}
    for name in arguments.models:
        with tempfile.TemporaryDirectory() as folder:
            found[name] = compare(name, Path(folder), arguments)
        print(table(name, found[name]).to_text(), "\n", flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1))


def images(name: str, arguments: argparse.Namespace) -> tuple[Any, Any, Any, Any]:
    """The fused network, calibration and held-out images, and what the latter show."""
    if name == DIGITS:
        model = mobileone.reparameterize(DIGITS_CHECKPOINT)
        train, test = split_digits()
        calibration = model.preprocess(np.ascontiguousarray(train.pixels[::11][:128]))
        return model, calibration, model.preprocess(test.pixels), test.labels
    model = mobileone.reparameterize(mobileone.create_model(name, seed=0))
    seeds = ((1, arguments.images), (2, arguments.held_out))
    noise = [
        np.random.default_rng(seed).standard_normal((n, 3, 224, 224), np.float32)
        for seed, n in seeds
    ]
    return model, *noise, None


def compare(name: str, folder: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """By rival: SQNR of the held-out logits, the share of the same class, and accuracy."""
    model, calibration, held_out, labels = images(name, arguments)
    let_rivals_quantize(model, calibration, held_out, folder, arguments.rivals_python)
    expected = model(held_out)
    quantized = mobileone.quantize(model, calibration, ablation=arguments.ablation)
    report = quantized.quantization
    logits = {"mobileone": np.concatenate([quantized(x[None]) for x in held_out])}
    logits |= {path.stem: np.load(path) for path in sorted(folder.glob("*_rival.npy"))}
    rows = {rival: judged(expected, own, labels) for rival, own in logits.items()}
    float_accuracy = None if labels is None else float((expected.argmax(1) == labels).mean())
    return {
        "rows": rows,
        "float accuracy": float_accuracy,
        "versions": json.loads((folder / "versions.json").read_text()),
        "report": report.to_dict() if report else None,
    }


def let_rivals_quantize(
    model: mobileone.Model, calibration: Any, held_out: Any, folder: Path, python: str
) -> None:
    """Leaves in the folder what `quantization_rivals` says."""
    model.export_onnx(folder / "float.onnx")
    np.save(folder / "calibration.npy", calibration)
    np.save(folder / "held_out.npy", held_out)
    subprocess.run([python, RIVALS, folder], check=True, capture_output=True)


def judged(expected: Any, found: Any, labels: Any) -> dict[str, float | None]:
    same, accuracy = float((found.argmax(1) == expected.argmax(1)).mean()), None
    if labels is not None:
        accuracy = float((found.argmax(1) == labels).mean())
    return {"sqnr": sqnr(expected, found), "same": same, "accuracy": accuracy}


def table(name: str, found: dict[str, Any]) -> Table:
    rows = [
        [
            rival.removesuffix("_rival"),
            f"{own['sqnr']:.1f}",
            f"{own['same']:.2%}",
            "–" if own["accuracy"] is None else f"{own['accuracy']:.2%}",
        ]
        for rival, own in found["rows"].items()
    ]
    titles = [Column("int8 by", "left"), *map(Column, ("SQNR dB", "same class", "accuracy"))]
    versions = ", ".join(f"{key} {value}" for key, value in found["versions"].items())
    notes = [versions]
    if found["float accuracy"] is not None:
        notes.append(f"accuracy in float32: {found['float accuracy']:.2%}")
    if found["report"]:
        notes += [
            f"without {cure['name']}: {cure['off']:.1f} dB, with {cure['on']:.1f} (calibration)"
            for cure in found["report"]["cures"]
        ]
    return Table(f"{name}, held-out images", titles, rows, notes)


if __name__ == "__main__":
    main()
