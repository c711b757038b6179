"""What heads of detectors and segmenters cost beside their backbones, of all variants: the table of
the notebook of boxes and masks. One thread, re-parameterized, float32.

    python -m benchmarks.task_latency --out notebooks/task_latency.json
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import mobileone

BACKBONES = (
    *(f"mobileone_s{i}" for i in range(5)),
    *(f"mobilevit_{size}" for size in ("xxs", "xs", "s")),
)
HEADS = {"SSDLite": mobileone.create_detector, "DeepLabV3": mobileone.create_segmenter}


def measured(head: str, backbone: str, runs: int) -> dict[str, Any]:
    """Means over the faster half of the runs, of the steps of either part."""
    model = mobileone.reparameterize(HEADS[head](backbone, seed=1))
    profile = mobileone.profile(model, threads=1, runs=runs)
    steps = profile.to_dataframe()
    own = steps["name"].str.startswith("encoder.")
    times = steps["time_us"] / 1e3
    return {
        "head": head,
        "backbone": backbone,
        "pixels": model.input_size[0],
        "backbone ms": round(float(times[own].sum()), 3),
        "head ms": round(float(times[~own].sum()), 3),
        "multiply-adds": int(model.graph.macs((1, 3, *model.input_size))),
        "parameters": model.num_params,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="a JSON file")
    parser.add_argument("--runs", type=int, default=8, help="of each network")
    parser.add_argument("--backbones", nargs="+", default=BACKBONES, choices=BACKBONES)
    arguments = parser.parse_args()
    rows = []
    for head in HEADS:
        for backbone in arguments.backbones:
            rows.append(measured(head, backbone, arguments.runs))
            print(rows[-1], flush=True)
    machine = mobileone.show_config().to_dict()["cpu"]["model"]
    arguments.out.write_text(json.dumps({"machine": machine, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
