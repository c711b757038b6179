#!/usr/bin/env bash
# transformers' MobileViT image processor, made without a configuration file: it scales the shorter side to
# 224 and then crops the centre 256 x 256 out of that, so every picture gets a frame of black pixels: 16 at
# two sides, or at all four if it is square, 12 to 23 % of the network's input. The processor's own default
# sizes do this, no message appears. With a shorter side of 288, as for the published weights, no frame.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --no-compile numpy==2.4.6 pillow==13.0.0 transformers==5.23.0
nice -n 10 "$dir/venv/bin/python" - 2>"$dir/log" <<'PY' || { tail "$dir/log"; exit 1; }
import numpy as np
import transformers
from PIL import Image
from transformers import MobileViTImageProcessorPil

print("transformers", transformers.__version__)


def black(processor, height, width):
    """Width of the black frame (top, bottom, left, right) and its share of the input."""
    white = Image.fromarray(np.full((height, width, 3), 255, np.uint8))
    plane = processor(white, return_tensors="np")["pixel_values"][0, 0]
    assert plane.shape == (256, 256)
    rows, columns = np.flatnonzero(plane.any(1)), np.flatnonzero(plane.any(0))
    frame = [int(v) for v in (rows[0], 255 - rows[-1], columns[0], 255 - columns[-1])]
    return frame, float((plane == 0).mean())


default, published = MobileViTImageProcessorPil(), MobileViTImageProcessorPil(size={"shortest_edge": 288})
print("defaults:", dict(default.size), dict(default.crop_size))
for (height, width), recorded in (
    ((480, 640), [16, 16, 0, 0]),
    ((640, 480), [0, 0, 16, 16]),
    ((224, 224), [16, 16, 16, 16]),
):
    frame, share = black(default, height, width)
    print(f"a white picture of {height} x {width}: black frame {frame}, {100 * share:.1f} % of the input")
    assert frame == recorded and share > 0.12, "the default frame has changed"
    assert black(published, height, width) == ([0, 0, 0, 0], 0.0)
PY
echo "as recorded: the defaults of transformers 5.23.0 crop 256 pixels out of 224"
