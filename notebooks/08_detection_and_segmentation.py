# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Boxes and masks
#
# MobileOne's and MobileViT's papers stand on three tasks. This page trains a small SSDLite on
# drawings that it makes itself and finds objects that the network has not seen, in both forms; then
# it takes a photo through SSDLite at 320 x 320 and DeepLabV3 at 512 x 512.

# %% tags=["parameters"]
DETECTOR = None  # a checkpoint of an SSDLite, for the photo; None: seeded weights
SEGMENTER = None  # of a DeepLabV3
EPOCHS = 20

# %%
import json
import time
from pathlib import Path

import matplotlib.pyplot as plt
import mobileone
import numpy as np
import pandas as pd
from matplotlib_inline.backend_inline import set_matplotlib_formats
from mobileone.data.augmentation.pipeline import Augmentation
from mobileone.data.config import DataConfig
from mobileone.data.photo import load_photo
from PIL import Image, ImageDraw

set_matplotlib_formats("jpeg", pil_kwargs={"quality": 85})

# %% [markdown]
# ## Drawings
#
# One to four shapes, filled with any dark colour, on light paper, under noise. Shapes may touch,
# and cover one another by a fifth at most.

# %%
SIZE = 160
NAMES = ("background", "disc", "square", "triangle")


def overlap(a, b):
    sides = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    return np.prod(np.maximum(sides, 0)) / min(np.prod(a[2:] - a[:2]), np.prod(b[2:] - b[:2]))


def drawing(rng):
    ground = rng.integers(200, 256, 3)
    image = Image.new("RGB", (SIZE, SIZE), tuple(int(v) for v in ground))
    draw, boxes, labels = ImageDraw.Draw(image), [], []
    for _ in range(rng.integers(1, 5)):
        side = rng.integers(28, 72)
        corner = rng.integers(2, SIZE - side - 2, 2)
        box = np.array([*corner, *(corner + side)])
        if any(overlap(box, other) > 0.2 for other in boxes):
            continue
        colour = rng.integers(0, 140, 3)
        fill, (left, top, right, bottom) = tuple(int(v) for v in colour), (int(v) for v in box)
        label = int(rng.integers(1, 4))
        if label == 1:
            draw.ellipse((left, top, right, bottom), fill)
        elif label == 2:
            draw.rectangle((left, top, right, bottom), fill)
        else:
            draw.polygon([((left + right) / 2, top), (right, bottom), (left, bottom)], fill)
        boxes.append(box)
        labels.append(label)
    noise = rng.normal(0, 8, (SIZE, SIZE, 3))
    pixels = np.clip(np.asarray(image) + noise, 0, 255).astype(np.uint8)
    return pixels, (np.array(boxes, float), np.array(labels))


def drawings(count, seed):
    pairs = [drawing(np.random.default_rng((seed, i))) for i in range(count)]
    return np.stack([pixels for pixels, _ in pairs]), [objects for _, objects in pairs]


learned, held_out = drawings(768, seed=1), drawings(128, seed=2)
_, axes = plt.subplots(1, 6, figsize=(12, 2.2))
for ax, pixels in zip(axes, learned[0], strict=False):
    ax.imshow(pixels)
    ax.set_axis_off()
plt.show()

# %% [markdown]
# ## Training
#
# A thin MobileOne (a few million multiply-adds) for a backbone, from random weights. The trainer
# takes the pictures with their boxes; its loss is SSD's (an anchor is an object's that it overlaps
# by half; three hard negatives for each), its gradients are the engine's.
# On two free cores it takes a quarter of a minute.

# %%
model = mobileone.create_detector(
    "custom",
    num_classes=len(NAMES),
    stem_width=16,
    widths=[16, 32, 64, 96],
    depths=[1, 1, 2, 1],
    num_conv_branches=1,
    head_widths=[96, 96, 64, 32, 32, 32],
    seed=0,
)
model.class_names = NAMES
model.data_config = DataConfig(
    mean=(0.5,) * 3, std=(0.25,) * 3, input_size=(SIZE, SIZE), crop_pct=1.0
)
recipe = mobileone.Recipe(
    epochs=EPOCHS,
    batch_size=16,
    optimizer="adamw",
    learning_rate=8e-3,
    warmup_epochs=1,
    weight_decay=1e-2,
    label_smoothing=0.0,
    ema_decay=0.99,
    augmentation=Augmentation(crop_scale=None, flip=0.5),
)
start, busy = time.perf_counter(), time.process_time()
trainer = mobileone.Trainer(model, recipe, progress=False)
history = trainer.fit(learned, validation=held_out)
spent = time.process_time() - busy
print(f"{len(learned[0])} drawings, {EPOCHS} times: {spent:.0f} s of processor time")
print(f"{time.perf_counter() - start:.0f} s on the clock")
history.plot()
plt.show()

# %% [markdown]
# COCO's mean average precision on drawings that it has not seen, in the form that was trained and
# in the fused one, which is the same function:

# %%
fused = mobileone.reparameterize(model)
found = {
    label: mobileone.evaluate(one, held_out, metrics="coco")
    for label, one in (("train-time", model), ("fused", fused))
}
columns = ("map", "map_50", "map_75", "recall")
pd.DataFrame(
    {label: {c: getattr(one.figures, c) for c in columns} for label, one in found.items()}
).T.round(4)

# %%
assert min(one.map_50 for one in found.values()) >= 0.8
assert mobileone.verify(model, fused)
found["fused"]

# %%
_, axes = plt.subplots(2, 4, figsize=(12, 6.4))
for ax, pixels in zip(axes.flat, held_out[0], strict=False):
    enlarged = np.asarray(Image.fromarray(pixels).resize((4 * SIZE, 4 * SIZE)))
    fused.detect(enlarged, score=0.4).plot(ax)
plt.tight_layout()
plt.show()

# %% [markdown]
# ## A photo
#
# `detect` squeezes the whole picture to 320 x 320 and gives boxes in its pixels, `segment` keeps
# its proportions and gives the class of every pixel. **Without a checkpoint the weights are seeded,
# and what is shown means nothing**: MobileOne's detectors and segmenters were never published;
# MobileViT's load from the files of its authors or of transformers.

# %%
photo = load_photo(None, 256).pixels
detector = (
    mobileone.load(DETECTOR) if DETECTOR else mobileone.create_detector("mobileone_s1", seed=0)
)
segmenter = (
    mobileone.load(SEGMENTER) if SEGMENTER else mobileone.create_segmenter("mobileone_s1", seed=0)
)
boxes = mobileone.reparameterize(detector).detect(photo, score=0.3 if DETECTOR else 0.0, most=5)
mask = mobileone.reparameterize(segmenter).segment(photo)
_, axes = plt.subplots(1, 2, figsize=(8, 5))
boxes.plot(axes[0])
mask.plot(axes[1])
plt.show()

# %% [markdown]
# ## What the heads cost
#
# Every variant under both heads, re-parameterized, float32, one thread of an AMD EPYC (Zen 5,
# AVX-512) with nothing else running: measured by `python -m benchmarks.task_latency` and stored.
# Beside it what the papers report: mAP on COCO (MobileOne's Table 11; MobileViT-XXS as its authors
# released it) and mean IoU on VOC (DeepLabV3 of MobileOne-S4 without squeeze-and-excite). Of times
# for these tasks they give one network's: MobileViT-XS on an iPhone 12, 12.6 ms under SSDLite and
# 32.3 ms under DeepLabV3 (MobileViT's Table 10).

# %%
PAPERS = {
    "SSDLite": {
        "mobileone_s1": 25.7, "mobileone_s2": 26.6, "mobileone_s3": 27.3, "mobileone_s4": 29.4,
        "mobilevit_xxs": 19.9, "mobilevit_xs": 24.8, "mobilevit_s": 27.7,
    },
    "DeepLabV3": {
        "mobileone_s0": 73.7, "mobileone_s1": 77.3, "mobileone_s2": 77.9, "mobileone_s3": 78.8,
        "mobileone_s4": 80.1, "mobilevit_xxs": 73.6, "mobilevit_xs": 77.1, "mobilevit_s": 79.1,
    },
}  # fmt: skip
rows = pd.DataFrame(json.loads(Path("task_latency.json").read_text(encoding="utf-8"))["rows"])
rows["ms"] = rows["backbone ms"] + rows["head ms"]
rows["head's share"] = rows["head ms"] / rows["ms"]
rows["G multiply-adds"] = rows["multiply-adds"] / 1e9
rows["M parameters"] = rows["parameters"] / 1e6
rows["papers' mAP or mIoU"] = [PAPERS[r["head"]].get(r["backbone"]) for _, r in rows.iterrows()]
shown = rows.drop(columns=["multiply-adds", "parameters"]).set_index(["head", "pixels", "backbone"])
shown.round(2)

# %%
figure, axes = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
for ax, (head, own) in zip(axes, rows.groupby("head", sort=False), strict=True):
    names = own["backbone"].str.replace("mobileone_", "").str.replace("mobilevit_", "ViT-")
    ax.bar(names, own["backbone ms"], label="backbone")
    ax.bar(names, own["head ms"], bottom=own["backbone ms"], label="head")
    side = own["pixels"].iloc[0]
    ax.set(title=f"{head}, {side} x {side}", ylabel="ms")
    ax.legend()
plt.show()

# %% [markdown]
# SSDLite adds 5 to 17 % of the time, under S0 30 %. DeepLabV3's head is a large part of a wide
# network: its three dilated convolutions read all channels of the last map, 1024 to 2048 in a
# MobileOne, 80 to 160 in a MobileViT.
