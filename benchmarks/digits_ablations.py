"""What branches, annealed weight decay and averaged weights give on handwritten digits.

    python -m benchmarks.digits_ablations --seeds 5 --out notebooks/digits_ablations.json

Trains the network of `mobileone train --data digits` with every variant and seed, on the split by
writers, and writes the accuracy on the held-out writers after every training, so that it can be
stopped and run again: what the file has is not trained twice. `notebooks/07_training.py` draws it.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import mobileone
import numpy as np
from mobileone.train.digits import digits_bundle, digits_recipe
from mobileone.train.trainer import Trainer
from mobileone.util.files import whole_file

# Name -> number of branches, changes of the recipe.
VARIANTS: dict[str, tuple[int, dict[str, Any]]] = {
    "no branches": (0, {}),
    "k = 1": (1, {}),
    "k = 2": (2, {}),
    "k = 3": (3, {}),
    "k = 4": (4, {}),
    "k = 4, constant weight decay": (4, {"final_weight_decay": digits_recipe().weight_decay}),
    "k = 4, no averaging": (4, {"ema_decay": None}),
    "k = 4, neither": (
        4,
        {"ema_decay": None, "final_weight_decay": digits_recipe().weight_decay},
    ),
}
_OTHER_BRANCHES = ("*rbr_scale*", "*rbr_skip*")


def model_of(branches: int, seed: int) -> mobileone.Model:
    """The network; without branches it has one convolution with its norm per block: the scale and
    skip branches are zero, and frozen.
    """
    model = mobileone.Model.of(digits_bundle(seed, num_conv_branches=max(1, branches)))
    if branches == 0:
        weights = {name: np.array(w) for name, w in model.network.weights().items()}
        for name, array in weights.items():
            norm = "rbr_scale.bn." in name or "rbr_skip." in name
            if norm and name.endswith(("weight", "bias")):
                array[...] = 0
        model.network = mobileone._core.Network(model.graph, weights)
    return model


def run(name: str, seed: int, epochs: int, threads: int | None) -> dict[str, float]:
    branches, changes = VARIANTS[name]
    if branches == 0:
        changes = {**changes, "frozen": _OTHER_BRANCHES}
    recipe = digits_recipe(epochs=epochs, seed=seed, **changes)
    start = time.process_time()
    history = Trainer(model_of(branches, seed), recipe, threads=threads).fit("digits")
    last = history.epochs[-1]
    assert last.validation_accuracy is not None
    assert last.validation_loss is not None
    return {
        "accuracy": 100 * last.validation_accuracy,
        "validation_loss": last.validation_loss,
        "loss": last.loss,
        "cpu_seconds": time.process_time() - start,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    found: dict[str, Any] = {"epochs": arguments.epochs, "results": {}}
    if arguments.out.exists():
        found = json.loads(arguments.out.read_text(encoding="utf-8"))
        if found["epochs"] != arguments.epochs:
            parser.error(f"{arguments.out} is of {found['epochs']} epochs")
    for seed in range(arguments.seeds):
        for name in VARIANTS:
            rows = found["results"].setdefault(name, {})
            if str(seed) in rows:
                continue
            rows[str(seed)] = run(name, seed, arguments.epochs, arguments.threads)
            print(f"{name}, seed {seed}: {rows[str(seed)]}", flush=True)
            with whole_file(arguments.out) as file:
                file.write(json.dumps(found, indent=1).encode())


if __name__ == "__main__":
    main()
