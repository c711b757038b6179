#!/usr/bin/env bash
# Keras' ops.image.gaussian_blur. By its documentation data_format defaults to that of the configuration, channels last;
# on torch and JAX it then takes pictures for channels first and blurs columns and colours instead of rows and
# columns: a red pixel turns green, and part of it is lost past the last colour. With data_format="channels_last" square
# kernels are right; torch's pictures come back in another size for others. And on all three backends kernel_size and
# sigma, documented as of height and width, are taken as of width and height. Nothing is said of any of it.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --no-compile numpy==2.4.6 scipy==1.17.1 torch==2.13.0 \
  keras==3.15.1 jax==0.10.2 jaxlib==0.10.2
for backend in numpy torch jax; do
  KERAS_HOME="$dir/home" KERAS_BACKEND=$backend OMP_NUM_THREADS=1 nice -n 10 "$dir/venv/bin/python" -W ignore - <<'PY'
import keras
import numpy as np
from keras import ops
from scipy import ndimage

backend = keras.backend.backend()
print("keras", keras.__version__, "/ backend", backend, "/", keras.backend.image_data_format())
assert keras.backend.image_data_format() == "channels_last"


def weights(size, sigma):
    w = np.exp(-0.5 * ((np.arange(size) - (size - 1) / 2) / sigma) ** 2)
    return w / w.sum()


def blurred(picture, size, sigma, axes):
    """In float64, zeros around the picture."""
    y = picture.astype(np.float64)
    for axis, s, deviation in zip(axes, size, sigma):
        y = ndimage.correlate1d(y, weights(s, deviation), axis=axis, mode="constant")
    return y


def by_keras(picture, size, sigma, **options):
    return np.asarray(ops.convert_to_numpy(ops.image.gaussian_blur(picture, size, sigma, **options)))


dot = np.zeros((1, 9, 9, 3), np.float32)
dot[0, 4, 4, 0] = 1  # one red pixel
y = by_keras(dot, (3, 3), (1.0, 1.0))
print("one red pixel: red, green, blue after it", y.sum((0, 1, 2)).round(3), "in rows", np.unique(np.nonzero(y)[1]))
photo = np.random.default_rng(0).random((2, 16, 20, 3)).astype(np.float32)
y = by_keras(photo, (3, 3), (1.0, 1.0))
right = np.abs(y - blurred(photo, (3, 3), (1, 1), (1, 2))).max()
colours = np.abs(y - blurred(photo, (3, 3), (1, 1), (2, 3))).max()
print(f"by the defaults, off by at most {right:.2g}; from a blur of columns and colours {colours:.2g}")
if backend != "numpy":
    assert colours < 1e-5 and right > 0.1, "gaussian_blur has another default now"
else:
    assert right < 1e-5
y = by_keras(photo, (3, 3), (1.0, 2.0), data_format="channels_last")
documented, swapped = (np.abs(y - blurred(photo, (3, 3), s, (1, 2))).max() for s in ((1, 2), (2, 1)))
print(f"sigma of height 1 and of width 2: off by {documented:.2g}, of width 1 and of height 2: {swapped:.2g}")
assert swapped < 1e-5 and documented > 0.01, "sigma is another pair now"
y = by_keras(photo, (3, 5), (1.0, 1.0), data_format="channels_last")
print("kernel (3, 5): pictures of", photo.shape[1:3], "come back as", y.shape[1:3])
if backend == "torch":
    assert y.shape[1:3] == (16, 18), "kernels that are not square are taken otherwise now"
else:
    assert np.abs(y - blurred(photo, (5, 3), (1, 1), (1, 2))).max() < 1e-5, "kernel_size is another pair now"
PY
done
echo "as recorded: keras 3.15.1 blurs columns and colours by its defaults on torch and JAX, and swaps the two sigmas"
