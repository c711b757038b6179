#!/usr/bin/env bash
# imagecorruptions 1.1.2 (the ImageNet-C corruptions, robustness tables are made with it) beside NumPy 2 and
# scikit-image 0.26, which its requirements allow: fog, glass_blur and gaussian_blur raise errors about names
# these no longer have, the other 16 work. And impulse_noise alone does not repeat after np.random.seed:
# scikit-image takes its randomness from a generator of its own, which the package does not hand a seed.
# Besides, it imports pkg_resources without requiring setuptools, which in its release 84 no longer has it.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --no-compile setuptools==80.9.0 numpy==2.4.6 scipy==1.17.1 scikit-image==0.26.0 \
  opencv-python-headless==5.0.0.93 pillow==12.2.0
"$dir/venv/bin/pip" install -q --no-deps imagecorruptions==1.1.2
OMP_NUM_THREADS=1 nice -n 10 "$dir/venv/bin/python" -W ignore - <<'PY'
import numpy as np
import skimage
from imagecorruptions import corrupt, get_corruption_names

print("imagecorruptions 1.1.2 / numpy", np.__version__, "/ scikit-image", skimage.__version__)
picture = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
failed, unrepeatable, fine = {}, [], []
for name in get_corruption_names("all"):
    results = []
    try:
        for _ in range(2):
            np.random.seed(0)
            results.append(corrupt(picture, corruption_name=name, severity=3))
    except (AttributeError, TypeError) as error:
        failed[name] = str(error).split(". ")[0]
        continue
    (fine if np.array_equal(*results) else unrepeatable).append(name)
for name, error in failed.items():
    print(f"{name}: {error}")
print("differs under the same seed:", unrepeatable, "- works and repeats:", len(fine))
assert sorted(failed) == ["fog", "gaussian_blur", "glass_blur"], "other corruptions fail now"
assert unrepeatable == ["impulse_noise"] and len(fine) == 15
PY
echo "as recorded: three corruptions fail with current releases, and impulse_noise ignores the seed"
