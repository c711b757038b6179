#!/usr/bin/env bash
# Keras' AveragePooling2D with padding="same" on the backend torch. An average at the border is that of the pixels the
# picture has: so it is on Keras' backend numpy. Where the padding is not the same on both sides (pool 3 with stride 2
# on 224 or 14 pixels, not on 11), the backend torch repeats the border's pixels and counts them: the last row and
# column lean towards the edge. One network gives other results by backend, and errs for some sizes of pictures alone.
# And ops.image.affine_transform there swaps the numbers of a transform tensor in the caller's own memory: the second
# call with it shifts rows instead of columns, the third columns. (The backend numpy imports JAX.)
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --no-compile numpy==2.4.6 scipy==1.17.1 torch==2.13.0 \
  keras==3.15.1 jax==0.10.2 jaxlib==0.10.2
for backend in numpy torch; do
  KERAS_HOME="$dir/home" KERAS_BACKEND=$backend OMP_NUM_THREADS=1 nice -n 10 "$dir/venv/bin/python" -W ignore - <<'PY'
import keras
import numpy as np
from keras import layers, ops

backend = keras.backend.backend()
print("keras", keras.__version__, "/ backend", backend)


def numbers(tensor):
    return np.array(ops.convert_to_numpy(tensor))


def windows(size, pool, stride):
    """TensorFlow's "same": what is added, added after where it is odd; and each output's pixels of the picture."""
    outputs = -(-size // stride)
    added = max((outputs - 1) * stride + pool - size, 0)
    starts = [i * stride - added // 2 for i in range(outputs)]
    return added, [slice(max(s, 0), min(s + pool, size)) for s in starts]


rng = np.random.default_rng(0)
CASES = ((12, 15, 3, 3), (11, 11, 3, 2), (12, 12, 2, 2), (11, 14, 3, 3), (12, 12, 5, 2), (14, 14, 3, 2))
for height, width, pool, stride in CASES:
    picture = rng.random((2, height, width, 4)).astype(np.float32)
    (above, rows), (beside, columns) = windows(height, pool, stride), windows(width, pool, stride)
    # The other hypothesis: an average of as many pixels everywhere, the border's repeated.
    pads = [(n // 2, n - n // 2) for n in (above, beside)]
    exact = np.array([[picture[:, r, c].astype(np.float64).mean((1, 2)) for c in columns] for r in rows])
    exact = exact.transpose(2, 0, 1, 3)
    padded = np.pad(picture.astype(np.float64), ((0, 0), *pads, (0, 0)), mode="edge")
    view = np.lib.stride_tricks.sliding_window_view(padded, (pool, pool), (1, 2))[:, ::stride, ::stride]
    repeated = view.mean((-2, -1))
    y = numbers(layers.AveragePooling2D(pool, stride, padding="same")(picture))
    assert y.shape == exact.shape == repeated.shape
    error = np.abs(y - exact).max()
    uneven = above % 2 or beside % 2
    print(f"{height} x {width}, pool {pool}, stride {stride}: added {above} and {beside}, off by at most {error:.2g}")
    if backend == "torch" and uneven:
        assert np.abs(y - repeated).max() < 1e-5, "the border is averaged otherwise now"
        assert error > 0.02, "the border is averaged otherwise now"
    else:
        assert error < 1e-5, "the border is averaged otherwise now"

picture = rng.random((8, 9, 3)).astype(np.float32)
shift = ops.convert_to_tensor(np.float32([1, 0, 2, 0, 1, 0, 0, 0]))  # x + 2, y
for call in (1, 2, 3):
    y = numbers(ops.image.affine_transform(picture, shift))
    by_columns = np.allclose(y[:, :-2], picture[:, 2:], atol=1e-6)
    by_rows = np.allclose(y[:-2], picture[2:], atol=1e-6)
    print(f"affine_transform, call {call}: shifts columns {by_columns}, rows {by_rows}; then {numbers(shift)[:6]}")
    odd = backend == "numpy" or call % 2 == 1
    assert (by_columns, by_rows) == (odd, not odd), "affine_transform leaves its argument alone now"
PY
done
echo "as recorded: keras 3.15.1 on the backend torch averages repeated pixels, and swaps a transform in place"
