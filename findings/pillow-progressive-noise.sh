#!/usr/bin/env bash
# Pillow 13.0.0 cannot save a noisy picture as a progressive JPEG of quality 75: `save` raises OSError.
#
# For progressive (and optimized) files it gives libjpeg one buffer, into which the whole file has to fit:
# of width x height bytes where a quality below 95 is given, twice as large where none is (which means 75,
# too). Noise without chroma subsampling needs more than one byte a pixel. The same picture is saved as a
# baseline file, without a quality, and where ImageFile.MAXBLOCK is raised.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install --quiet --disable-pip-version-check pillow==13.0.0 numpy==2.4.6
cat >"$work/show.py" <<'EOF'
import io
import sys

import numpy as np
from PIL import Image, ImageFile

pixels = np.random.default_rng(0).integers(0, 256, (500, 500, 3), np.uint8)
image = Image.fromarray(pixels)


def size(**options):
    file = io.BytesIO()
    image.save(file, "JPEG", subsampling=0, **options)
    assert Image.open(io.BytesIO(file.getvalue())).size == (500, 500)
    return len(file.getvalue())


print("width x height:", 500 * 500)
print("baseline, quality 75:", size(quality=75), "bytes")
print("progressive, no quality:", size(progressive=True), "bytes")
try:
    print("progressive, quality 75:", size(progressive=True, quality=75), "bytes")
    sys.exit("the behaviour has changed: it is saved")
except OSError as error:
    print("progressive, quality 75: OSError:", error)
ImageFile.MAXBLOCK = 1 << 22
print("progressive, quality 75, ImageFile.MAXBLOCK raised:", size(progressive=True, quality=75), "bytes")
EOF
"$work/env/bin/python" "$work/show.py"
echo "as recorded: quality=75 cannot be saved, the default, which is 75, can"
