#!/usr/bin/env bash
# COCO evaluation with another number of detections per image than [1, 10, 100], as crowded pictures and
# class-agnostic proposals need. pycocotools' summary then reports AP -1 for [1, 10, 300], because that one
# line looks for a limit of exactly 100, while AP50, AP75 and the sizes next to it take the largest; with
# one or two limits it raises IndexError. faster-coco-eval evaluates all of them, with as many average
# recalls as there are limits, so that positions in `stats` move: stats[8] is AR at the third limit or AR small.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q numpy==2.4.6 pycocotools==2.0.11 faster-coco-eval==1.8.0
nice -n 10 "$dir/venv/bin/python" - <<'PY'
import contextlib
import io

import numpy as np
from faster_coco_eval import COCO as FastCOCO
from faster_coco_eval import COCOeval_faster
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

boxes = [[20 * i, 0, 15, 15] for i in range(4)]


def stats(coco_class, eval_class, limits):
    with contextlib.redirect_stdout(io.StringIO()):
        coco = coco_class()
        coco.dataset = {
            "info": {},
            "images": [{"id": 1, "width": 100, "height": 100}],
            "categories": [{"id": 1, "name": "a"}],
            "annotations": [
                {"id": i + 1, "image_id": 1, "category_id": 1, "bbox": b, "area": 225, "iscrowd": 0}
                for i, b in enumerate(boxes)
            ],
        }
        coco.createIndex()
        found = coco.loadRes(
            [{"image_id": 1, "category_id": 1, "bbox": b, "score": 0.9 - i / 10} for i, b in enumerate(boxes)]
        )
        evaluation = eval_class(coco, found, "bbox")
        evaluation.params.maxDets = limits
        evaluation.evaluate()
        evaluation.accumulate()
        try:
            evaluation.summarize()
        except IndexError:
            return None
    return np.round(evaluation.stats, 2).tolist()


for limits, slow_recorded, fast_length in (
    ([1, 10, 100], (1.0, 1.0), 12),
    ([1, 10, 300], (-1.0, 1.0), 12),
    ([10, 100], None, 11),
    ([100], None, 10),
):
    slow, fast = stats(COCO, COCOeval, limits), stats(FastCOCO, COCOeval_faster, limits)
    print(f"{limits}\n   pycocotools 2.0.11      {slow or 'IndexError'}\n   faster-coco-eval 1.8.0  {fast}")
    assert (slow and tuple(slow[:2])) == slow_recorded, "pycocotools summarises this in another way now"
    assert fast[0] == fast[1] == 1 and len(fast) == fast_length, "faster-coco-eval has changed"
PY
echo "as recorded: the headline AP is -1, or an IndexError, for other limits than 1, 10, 100"
