#!/usr/bin/env bash
# torchvision's transforms v2 move a picture and its key points and boxes together, but not everywhere. Flips take key
# points for numbers of pixels (W - 1 - x), everything else for places in the plane (a half turn gives W - x, an
# enlargement by 4 gives 4 x): two flips are a half turn for pictures and boxes, and one pixel beside it for points;
# flipping and enlarging by 4 in either order gives the same picture, and points 3 pixels apart. And center_crop of a
# picture smaller than the crop pads half the difference, rounded down, while its boxes and points move by half of it,
# rounded to an even number: for a difference of 3, 7, 11 ... pixels a box is one pixel beside what it held.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install -q --no-compile numpy==2.4.6 torch==2.13.0 pillow==13.0.0
"$dir/venv/bin/pip" install -q --no-compile --no-deps torchvision==0.28.0
OMP_NUM_THREADS=1 nice -n 10 "$dir/venv/bin/python" -W ignore - <<'PY'
import torch

# torchvision's operators need the CUDA build of PyTorch. The rest of it works with the CPU build once the two
# operators it annotates are declared; neither is called here.
if not hasattr(torch.ops.torchvision, "nms"):
    library = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

import torchvision
from torchvision import tv_tensors
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as F

print("torchvision", torchvision.__version__, "/ torch", torch.__version__)
H, W, NEAREST = 24, 32, InterpolationMode.NEAREST
box = torch.tensor([[5.0, 3.0, 11.0, 9.0]])  # left, top, right, bottom
picture = torch.zeros(1, H, W)
picture[:, 3:9, 5:11] = torch.rand(6, 6, generator=torch.manual_seed(0)) + 1


def tensors():
    point = tv_tensors.KeyPoints((box[:, :2] + box[:, 2:]) / 2, canvas_size=(H, W))
    return tv_tensors.Image(picture), tv_tensors.BoundingBoxes(box, format="XYXY", canvas_size=(H, W)), point


def moved(*transforms):
    results = []
    for value in tensors():
        for transform in transforms:
            value = transform(value)
        results.append(torch.as_tensor(value))
    return results


def holds(image, rectangle):
    """Whether the box's edges are those of the pixels that are not 0."""
    rows, columns = image[0].nonzero().T
    edges = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    return torch.equal(rectangle[0], torch.stack(edges).float())


def flips(v):
    return F.vertical_flip(F.horizontal_flip(v))


def enlarge(v):
    return F.resize(v, [4 * H, 4 * W], NEAREST)


def compare(title, first, second, apart):
    (a, box_a, point_a), (b, box_b, point_b) = moved(*first), moved(*second)
    assert torch.equal(a, b) and torch.equal(box_a, box_b) and holds(a, box_a)
    print(f"{title}: same picture, same box, points {point_a.tolist()} and {point_b.tolist()}")
    assert torch.allclose((point_b - point_a).abs(), torch.tensor(apart)), "key points move otherwise now"


compare("two flips / half turn", [flips], [lambda v: F.rotate(v, 180, NEAREST)], [1.0, 1.0])
compare("flip, enlarge / enlarge, flip", [F.horizontal_flip, enlarge], [enlarge, F.horizontal_flip], [3.0, 0.0])
for more in range(12):
    image, rectangle, point = moved(lambda v: F.center_crop(v, [H + more, W]))
    rows = image[0].nonzero()[:, 0]
    off = float(rectangle[0, 1] - rows.min())
    middle = float(point[0, 1] - (rows.min() + rows.max() + 1) / 2)
    if off or middle:
        print(f"center_crop to {H + more} rows of a picture of {H}: box off by {off:g}, point off by {middle:g}")
    assert off == middle == (1 if more % 4 == 3 else 0), "center_crop moves boxes otherwise now"
    assert holds(image, rectangle) == (off == 0)
PY
echo "as recorded: torchvision's flips move key points, and its padding crops boxes, one pixel off the picture"
