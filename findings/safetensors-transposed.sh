#!/usr/bin/env bash
# safetensors.numpy stores a transposed array by its bytes as they lie in memory, with the shape of the
# transposed view: weights turned from TensorFlow's H, W, I, O to O, I, H, W come back with every shape right and
# the values in another order. Nothing is said, in memory or in a file. Releases up to 0.7.0 copied such arrays.
# The documentation asks for contiguous arrays; safetensors.torch checks that and raises, this one does not.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
for release in 0.7.0 0.8.0; do
  python3 -m venv "$dir/$release"
  "$dir/$release/bin/pip" install -q --no-compile numpy==2.4.6 "safetensors==$release"
  nice -n 10 "$dir/$release/bin/python" - "$dir/weights.safetensors" <<'PY'
import sys

import numpy as np
import safetensors
from safetensors.numpy import load, load_file, save, save_file

kernel = np.arange(3 * 3 * 4 * 8, dtype=np.float32).reshape(3, 3, 4, 8)  # H, W, I, O
arrays = {"as it is": kernel, "O, I, H, W": kernel.transpose(3, 2, 0, 1), "column-major": np.asfortranarray(kernel)}
right = {}
for name, array in arrays.items():
    save_file({"w": array}, sys.argv[1])
    for back in (load(save({"w": array}))["w"], load_file(sys.argv[1])["w"]):
        assert back.shape == array.shape and back.dtype == array.dtype
        assert np.array_equal(np.sort(back.ravel()), kernel.ravel())
        right.setdefault(name, set()).add(np.array_equal(back, array))
print(f"safetensors {safetensors.__version__}: comes back as stored:", {k: sorted(v) for k, v in right.items()})
old = safetensors.__version__ == "0.7.0"
assert right == {"as it is": {True}, "O, I, H, W": {old}, "column-major": {old}}, "safetensors has changed"
PY
done
echo "as recorded: safetensors 0.8.0 stores a transposed NumPy array in the wrong order"
