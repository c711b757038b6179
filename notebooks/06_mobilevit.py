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
# # MobileViT at every size
#
# MobileViT (Mehta & Rastegari, ICLR 2022) mixes convolutions with transformers that see the whole
# image. It has no positions to interpolate, so one network runs at any image size, and it is
# trained at several: this page folds it, runs it from 160 to 320 pixels, and looks at the sampler
# that makes its batches.

# %% tags=["parameters"]
VARIANT = "mobilevit_xxs"
BUDGET_S = 8  # seconds of timed runs

# %%
import matplotlib.pyplot as plt
import mobileone
import numpy as np
import pandas as pd

# %% [markdown]
# ## Folded, and proven equal
#
# The weights are seeded here; `mobileone.load("mobilevit_xxs.pt")` takes the published ones, in
# the layout of cvnets, timm, mmpretrain or transformers. There is no branch to merge: every batch
# norm folds into the convolution before it.

# %%
model = mobileone.create_model(VARIANT, seed=0)
fused = mobileone.reparameterize(model)
mobileone.verify(model, fused)

# %% [markdown]
# Kinds of operators, before and after:

# %%
kinds = {
    label: pd.Series([node["kind"] for node in network.graph.nodes]).value_counts()
    for label, network in (("train-time", model), ("inference", fused))
}
pd.DataFrame(kinds).fillna(0).astype(int)

# %% [markdown]
# ## One network, every size
#
# The five sizes of the paper's sampler, and 224, where the last map has 7 x 7 pixels and is
# resized to 8 x 8 for its patches of 2 x 2. A plan is compiled for each size and kept.

# %%
SIZES = [160, 192, 224, 256, 288, 320]
rows = []
for size in SIZES:
    (row,) = mobileone.benchmark(
        fused, input_size=size, threads=1, budget_s=BUDGET_S / len(SIZES), progress=False
    ).rows
    shape = (1, 3, size, size)
    attention = fused.graph.attention_macs(shape)
    rows.append((size, row.min_ms, row.macs / 1e6, attention / row.macs, row.gflops))
columns = ["size", "min ms", "M multiply-adds", "share of attention", "GFLOP/s"]
sizes = pd.DataFrame(rows, columns=columns).set_index("size")
sizes.round(3)

# %%
figure, (time, share) = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
pixels = [size**2 / 1e3 for size in SIZES]
time.plot(pixels, sizes["min ms"], "o-")
for size, x, y in zip(SIZES, pixels, sizes["min ms"], strict=True):
    time.annotate(f"{size}", (x, y), xytext=(-4, 6), textcoords="offset points", ha="right")
time.set(xlabel="thousand pixels", ylabel="ms, one image", xlim=(0, None))
time.set_ylim(0, 1.15 * sizes["min ms"].max())
share.plot(pixels, 100 * sizes["share of attention"], "o-")
share.set(xlabel="thousand pixels", ylabel="% of the multiply-adds in attention", ylim=(0, None))
share.set_xlim(0, None)
plt.show()

# %% [markdown]
# Convolutions and linear layers grow with the pixels, attention's products with their square.

# %% [markdown]
# ## Where its time goes

# %%
profile = mobileone.profile(fused, input_size=256, threads=1)
steps = profile.to_dataframe()
steps["part"] = np.select(
    [
        steps["kind"] == "Attention",
        steps["kind"].str.contains("LayerNorm"),
        steps["name"].str.contains("local_rep|fusion"),
        steps["name"].str.contains("exp_1x1"),
    ],
    ["attention", "tokens: linear layers, norms", "3x3 convolutions", "MobileNetV2 blocks"],
    "stem, head, overhead",
)
parts = steps.groupby("part")[["time_us", "percent", "macs"]].sum()
parts["gflops"] = 2 * parts["macs"] / parts["time_us"] / 1e3
parts.sort_values("time_us", ascending=False).round(1)

# %% [markdown]
# ## The multi-scale sampler
#
# Every batch has a size drawn at random, and as many images as fit into the pixels of b images of
# the largest one: b_t = H_n W_n b / (H_t W_t), section 3.2. Any `DataLoader` of torch takes it as
# its `batch_sampler`; the size comes with every index.

# %%
IMAGENET = 1_281_167
sampler = mobileone.MultiScaleSampler(IMAGENET, 128, num_replicas=8, drop_last=True, seed=0)
sampler

# %%
first = next(iter(sampler))
height, width, index = first[0]
print(f"{len(sampler)} batches per epoch and rank")
print(f"the first has {len(first)} images of {height} x {width}, image {index} among them")

# %% [markdown]
# Small images come in large batches, so that an epoch takes fewer optimizer updates. Figure 5b of
# the paper counts 375 k for the standard sampler and 232 k for this one. The text says that sizes
# are drawn at random for every batch; the count is met, within 1 %, when every size gets the same
# share of the images instead (`equal_shares=True`).


# %%
def updates(epochs: int = 300, **options: object) -> int:
    """Optimizer updates of a training on 8 ranks with b = 128."""
    sampler = mobileone.MultiScaleSampler(IMAGENET, 128, num_replicas=8, drop_last=True, **options)
    total = 0
    for epoch in range(epochs):
        sampler.set_epoch(epoch)
        total += len(sampler)
    return total


counts = pd.Series(
    {
        "standard: 256": updates(sizes=[256]),
        "equal shares of images": updates(equal_shares=True),
        "batches equally probable": updates(),
        "the same, b for 256": updates(base_size=256),
    },
    name="updates",
)
counts.to_frame().assign(paper=[375_000, 232_000, np.nan, np.nan])
