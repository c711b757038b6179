#!/usr/bin/env bash
# The same call of Image.resize, other pixels: Pillow 13 filters columns before rows where the height loses
# more than twice as many pixels as the width. Each side's result is rounded to 8 bits, and bicubic's
# overshoots are cut there, so that the order shows: here, of noise, by 22 of 255 at most. Of 60
# random sizes only those differ, and there every version is one of the two orders, bit by bit.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cat >"$dir/resize.py" <<'PY'
import sys

import numpy as np
from PIL import Image

random = np.random.default_rng(0)
results = []
for _ in range(60):
    height, width, to_height, to_width = (int(side) for side in random.integers(2, 120, 4))
    image = Image.fromarray(random.integers(0, 256, (height, width, 3), np.uint8))
    how = Image.Resampling.BICUBIC
    lost = height - to_height
    columns_first = lost > 0 and lost > 2 * (width - to_width)
    between = {True: (width, to_height), False: (to_width, height)}
    ordered = {k: np.asarray(image.resize(v, how).resize((to_width, to_height), how)) for k, v in between.items()}
    found = np.asarray(image.resize((to_width, to_height), how))
    largest = int(np.abs(ordered[True].astype(int) - ordered[False]).max())
    results.append((columns_first, np.array_equal(found, ordered[sys.argv[1] == "13" and columns_first]), largest))
assert all(right for _, right, _ in results), "the sides are filtered in another order now"
changed = [largest for columns_first, _, largest in results if columns_first]
print(f"Pillow {sys.argv[1]}: as expected; {len(changed)} of {len(results)} sizes have another order in 13, "
      f"pixels up to {max(changed)} apart")
PY
for version in 12 13; do
  python3 -m venv "$dir/venv$version"
  case $version in 12) pinned=12.0.0 ;; 13) pinned=13.0.0 ;; esac
  "$dir/venv$version/bin/pip" install -q numpy==2.4.6 "pillow==$pinned"
  nice -n 10 "$dir/venv$version/bin/python" "$dir/resize.py" "$version"
done
echo "as recorded: Pillow 13 gives other pixels than Pillow 12 where pictures lose height above all"
