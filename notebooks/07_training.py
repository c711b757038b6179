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
# # What training with branches gives
#
# MobileOne trains k branches per convolution, anneals its weight decay and averages its weights
# (Vasu et al., CVPR 2023, Tables 5, 6 and 8). This page trains a small MobileOne on handwritten
# digits, fuses it, and looks at what is left where one of these is taken away, and at what a step
# costs.
#
# **Digits are not ImageNet.** There are 1437 images of 8 x 8 pixels to learn from and 360 to test
# on, written by other people: one image is 0.28 %, and a seed moves the result by more than most
# of what the paper reports. So every number comes from several seeds, with the 95 % interval of
# the mean. Where intervals overlap, nothing was found.

# %% tags=["parameters"]
EPOCHS = 2  # of the training that is shown: the recipe has more
ROUNDS = 3  # timed steps

# %%
import json
import time
from pathlib import Path

import matplotlib.pyplot as plt
import mobileone
import numpy as np
import pandas as pd
from mobileone.figures.training import interval, plot_seeds
from mobileone.network.training_step import TrainingStep
from mobileone.train.digits import digits_bundle, digits_recipe

# %% [markdown]
# ## A training, cut short
#
# The network, recipe and split by writers of `mobileone train --data digits`.

# %%
model = mobileone.Model.of(digits_bundle(seed=0))
trainer = mobileone.Trainer(model, digits_recipe(epochs=EPOCHS), progress=False)
history = trainer.fit("digits")
history

# %%
history.plot()
plt.show()

# %% [markdown]
# Trained with branches, used without: the same function.

# %%
mobileone.verify(model, mobileone.reparameterize(model))

# %% [markdown]
# ## Branches, annealed weight decay, averaged weights
#
# Every variant with every seed, trained by `python -m benchmarks.digits_ablations`; accuracy on
# the writers who were held out, in percent. "No branches": one convolution and its norm per block.

# %%
stored = json.loads(Path("digits_ablations.json").read_text(encoding="utf-8"))
accuracies = {
    name: [row["accuracy"] for row in rows.values()] for name, rows in stored["results"].items()
}
counts = {len(values) for values in accuracies.values()}
print(f"{stored['epochs']} epochs, {min(counts)} seeds")
plot_seeds(accuracies, "accuracy on unseen writers (%): mean and its 95 % interval")
plt.show()

# %% [markdown]
# What is found here: the network without branches is ahead of every one with branches, in training
# loss too, by more than the intervals. Twelve short epochs of a small problem favour what learns
# quickest; the paper's gain comes from 300 epochs on a million images. Among k = 1 to 4, and for
# annealing and averaging, the intervals overlap: nothing was found (at the end of a cosine the
# weights hardly move, so that their average is nearly the last of them).
#
# Beside what the paper has on ImageNet: Table 6 for k (MobileOne-S0), Table 5 for no branches
# (S0), Table 8 for the rest (S2, where each line adds to the one before).

# %%
paper = {
    "no branches": "69.6",
    "k = 1": "70.9",
    "k = 2": "70.7",
    "k = 3": "71.3",
    "k = 4": "71.4",
    "k = 4, constant weight decay": "S2: 76.8, annealed 77.3",
    "k = 4, no averaging": "S2: 77.3, averaged 77.4",
}
pd.DataFrame(
    {
        "digits, mean": {k: f"{np.mean(v):.2f} ± {interval(v):.2f}" for k, v in accuracies.items()},
        "training loss": {
            k: f"{np.mean([row['loss'] for row in rows.values()]):.3f}"
            for k, rows in stored["results"].items()
        },
        "paper, ImageNet top-1": paper,
    }
).reindex(list(accuracies)).fillna("")

# %% [markdown]
# ## What a step costs
#
# Forward, backward and the gradients of every branch, of MobileOne-S0 at 96 x 96, batch 4, over
# the number of branches k: processor time of one thread, interleaved, minima. With
# `train_path="branches"` every branch is computed; by moments (the default, where it is cheaper)
# the sum of the branches is one convolution, and what grows with k is the algebra of their
# weights, which depends neither on the batch nor on the size of the images:
# [docs/training.md](../docs/training.md).

# %%
rng = np.random.default_rng(0)
x = rng.standard_normal((4, 3, 96, 96), dtype=np.float32)
labels = rng.integers(0, 10, 4)
steps = {
    (k, path): TrainingStep(
        mobileone.create_model("mobileone_s0", num_classes=10, num_conv_branches=k).bundle,
        threads=1,
        train_path=path,
    )
    for k in (1, 2, 4)
    for path in ("auto", "branches")
}
times = {key: [] for key in steps}
for _ in range(ROUNDS + 1):
    for key, step in steps.items():
        start = time.process_time()
        step.loss_and_gradients(x, labels)
        times[key].append(1e3 * (time.process_time() - start))
fastest = pd.Series({key: min(values[1:]) for key, values in times.items()})
table = fastest.unstack().rename_axis(index="k", columns="processor ms per step")
table.round(1)

# %%
ax = table.plot(marker="o", xlabel="branches k", ylabel="processor ms per step", xticks=[1, 2, 4])
ax.set_ylim(bottom=0)
plt.show()
