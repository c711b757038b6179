#!/usr/bin/env bash
# A COCO file whose annotations are numbered from 0. pycocotools stores the id of the matched annotation
# in an array where 0 stands for "no match", so whatever hits annotation 0 counts as a false positive,
# and the annotation as missed. Four perfect boxes: AP 1.000 with ids from 1, 0.564 with ids from 0.
# Nothing is said. faster-coco-eval gives the same wrong number, but warns.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q numpy==2.4.6 pycocotools==2.0.11 faster-coco-eval==1.8.0
nice -n 10 "$dir/venv/bin/python" - <<'PY'
import contextlib
import io
import warnings

from faster_coco_eval import COCO as FastCOCO
from faster_coco_eval import COCOeval_faster
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

boxes = [[20 * i, 0, 15, 15] for i in range(4)]


def average_precision(coco_class, eval_class, first_id):
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        coco = coco_class()
        coco.dataset = {
            "info": {},
            "images": [{"id": 1, "width": 100, "height": 100}],
            "categories": [{"id": 1, "name": "a"}],
            "annotations": [
                {"id": i + first_id, "image_id": 1, "category_id": 1, "bbox": b, "area": 225, "iscrowd": 0}
                for i, b in enumerate(boxes)
            ],
        }
        coco.createIndex()
        found = coco.loadRes(
            [{"image_id": 1, "category_id": 1, "bbox": b, "score": 0.9 - i / 10} for i, b in enumerate(boxes)]
        )
        evaluation = eval_class(coco, found, "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return float(evaluation.stats[0]), any("id 0" in str(w.message) for w in caught)


for name, classes, warns in (
    ("pycocotools 2.0.11", (COCO, COCOeval), False),
    ("faster-coco-eval 1.8.0", (FastCOCO, COCOeval_faster), True),
):
    right, _ = average_precision(*classes, first_id=1)
    wrong, warned = average_precision(*classes, first_id=0)
    print(f"{name:23} AP {right:.3f} with ids 1 to 4, {wrong:.3f} with ids 0 to 3, warning: {warned}")
    assert right > 0.999
    assert 0.5 < wrong < 0.7, "an annotation with id 0 is counted in another way now"
    assert warned == warns
PY
echo "as recorded: a perfect detector is marked down where an annotation has the id 0"
