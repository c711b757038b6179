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
# # Your own checkpoint
#
# Any public layout in; verified, timed, run on a photo; and out again, as safetensors, ONNX, or
# names for timm. Give the path of a train-time checkpoint, or run it as it is: seeded weights are
# then written in every layout, and read back.

# %% tags=["parameters"]
CHECKPOINT = None  # e.g. "mobileone_s0_unfused.pth.tar"
MODEL = "mobileone_s0"  # without a checkpoint
IMAGE = None  # a photo; None takes the package's portrait (needs Pillow for another one)
BUDGET_S = 3  # seconds of timed runs

# %%
import os
import tempfile
from importlib.util import find_spec
from pathlib import Path

import matplotlib.pyplot as plt
import mobileone
import numpy as np
from mobileone.data.photo import load_photo, random_crops
from mobileone.verification.rounding import rounding_bound
from tqdm.auto import tqdm

folder = tempfile.TemporaryDirectory()
out = Path(folder.name)

# %% [markdown]
# ## In: the layout is found out
#
# The container is told by the first bytes of the file, the layout by the names of the tensors,
# variant and classes by their shapes. What was found is in `model.report`.

# %%
photo = load_photo(IMAGE, 256)
LAYOUTS = ("apple", "timm", "mmpretrain", "cvnets", "jahongir7174")

if CHECKPOINT is None:
    seeded = mobileone.create_model(MODEL, seed=0).train()
    rng = np.random.default_rng(0)
    # Settles the running statistics of random weights: forwards in training mode, on crops.
    for _ in tqdm(range(30), leave=False):
        seeded(random_crops(photo.pixels, 4, (160, 160), rng))
    seeded.eval()
    for layout in LAYOUTS:
        seeded.save(out / f"{layout}.safetensors", layout=layout)
    reference = seeded.state_dict()
    print(f"{'layout':<14}{'form':<12}first name in the file")
    for layout in LAYOUTS:
        loaded = mobileone.load(out / f"{layout}.safetensors")
        same = all(np.array_equal(w, reference[n]) for n, w in loaded.state_dict().items())
        assert same, layout
        print(f"{loaded.report.layout:<14}{loaded.form:<12}{next(iter(seeded.state_dict(layout)))}")

model = mobileone.load(CHECKPOINT or out / "timm.safetensors")
print(str(model.report).replace(f"{out}{os.sep}", ""))

# %% [markdown]
# What is not understood is refused, with the reason; nothing of a pickle is ever executed.

# %%
damaged = dict(model.state_dict("timm"))
damaged.pop(next(name for name in damaged if name.endswith("bn.running_var")))
try:
    mobileone.load(damaged)
except mobileone.CheckpointError as error:
    print(error)

# %% [markdown]
# ## Fuse and verify

# %%
fused = mobileone.reparameterize(model)
evidence = mobileone.verify(model, fused)
assert evidence
evidence

# %%
evidence.plot()
plt.show()

# %% [markdown]
# ## Run it on a photo
#
# Resizing, crop and normalisation follow `model.data_config`: the publishers' for known layouts;
# assign your own otherwise. Seeded weights have learnt nothing: their guess is noise, but both
# forms make the same one.

# %%
guesses = {m.form: m.predict(photo.pixels, topk=5) for m in (model, fused)}
assert [name for name, _ in guesses["train-time"]] == [name for name, _ in guesses["inference"]]
fig, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), width_ratios=(1, 2), layout="constrained")
left.imshow(photo.pixels)
left.set_title(photo.origin, fontsize="small")
left.set_axis_off()
names, probabilities = zip(*guesses["inference"], strict=True)
right.barh(names, [100 * p for p in probabilities], color="#0072B2")
right.bar_label(right.containers[0], fmt="%.3g %%", padding=4)
right.invert_yaxis()
right.margins(x=0.2)
right.set_xlabel("probability (%)")
seeded_note = "" if CHECKPOINT else " (seeded weights: not a recognition)"
right.set_title(f"{fused.name}{seeded_note}", fontsize="medium")
plt.show()
print(model.data_config)

# %% [markdown]
# ## Benchmark

# %%
result = mobileone.benchmark({"train-time": model, "fused": fused}, threads=1, budget_s=BUDGET_S)
result

# %%
result.plot()
plt.show()

# %% [markdown]
# ## Out
#
# Every file is read back and compared: safetensors bit for bit, ONNX by running it in ONNX
# Runtime, if that is installed, within what rounding explains.

# %%
x = fused.preprocess(photo.pixels)
logits = fused(x)

for layout in LAYOUTS:
    path = out / f"fused-{layout}.safetensors"
    fused.save(path, layout=layout)
    np.testing.assert_array_equal(mobileone.load(path)(x), logits)
    print(f"{path.name:<32}{path.stat().st_size / 1e6:6.1f} MB, same bits")

# %%
if find_spec("onnx"):
    path = out / "fused.onnx"
    fused.export_onnx(path)
    print(f"{path.name:<32}{path.stat().st_size / 1e6:6.1f} MB")
    if find_spec("onnxruntime"):
        import onnxruntime

        theirs = onnxruntime.InferenceSession(path).run(None, {"images": x})[0]
        worst = np.abs(theirs - logits).max()
        bound = np.sqrt(2) * rounding_bound(fused, x, ()).logits  # either side errs
        print(f"ONNX Runtime: logits differ by {worst:.1e}; rounding explains {bound:.1e}")
        assert worst <= bound
    else:
        print("onnxruntime is not installed: the file was not run")
else:
    print("onnx is not installed: pip install 'mobileone[onnx]'")

# %% [markdown]
# timm's own module, if timm and its torchvision are installed (notebook 1 runs the fused network
# in PyTorch alone):

# %%
try:
    import timm.utils.model
    import torch
except ImportError as error:
    print(f"skipped: {error}")
else:
    module = timm.create_model(fused.arch, num_classes=fused.num_classes).eval()
    module = timm.utils.model.reparameterize_model(module)
    arrays = fused.state_dict("timm")
    print(module.load_state_dict({name: torch.tensor(a) for name, a in arrays.items()}))

# %%
folder.cleanup()
