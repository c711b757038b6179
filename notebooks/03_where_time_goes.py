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
# # Where the time goes
#
# A profile step by step, the limits of the machine, and what the branches of the train-time form
# cost.

# %% tags=["parameters"]
MODEL = "mobileone_s0"
PROFILE_RUNS = 200
BUDGET_S = 4  # seconds of timed runs per comparison

# %%
import time

import matplotlib.pyplot as plt
import mobileone
import numpy as np
from mobileone.figures.drawing import draw_block
from mobileone.figures.plots import PALETTE, plot_roofline
from tqdm.auto import tqdm

# %% [markdown]
# ## Step by step
#
# The rows add up to the wall time. *GFLOP/s* counts two operations per multiply-add, *% of peak*
# is relative to a loop of independent fused multiply-adds that runs on the same cores: the most
# this CPU can do. A step may hold several layers: a depthwise convolution goes straight into the
# pointwise one behind it.

# %%
fused = mobileone.reparameterize(mobileone.create_model(MODEL, seed=0))
profile = mobileone.profile(fused, threads=1, runs=PROFILE_RUNS)
profile

# %%
profile.plot()
plt.show()

# %% [markdown]
# ## Roofline
#
# A step that does few operations per byte waits for memory; one that does many is limited by
# arithmetic. The slanted lines are bandwidths measured here, with NumPy adding one array to
# another in place: once in a cache (512 KiB), once in an array that no private cache holds (256
# MiB; a large shared cache may keep a part of it). The bytes of a step are its input, output and
# weights, each counted once.

# %%


def bandwidth(size: int, seconds: float = 0.4) -> float:
    """GB/s of a += b: two reads and a write per element; the best of many runs."""
    a, b = np.ones(size // 8, np.float32), np.ones(size // 8, np.float32)
    best, runs, end = np.inf, 0, time.perf_counter() + seconds
    while (runs := runs + 1) < 10 or time.perf_counter() < end:
        start = time.perf_counter()
        np.add(a, b, out=a)
        best = min(best, time.perf_counter() - start)
    return 3 * a.nbytes / best / 1e9


bandwidths = {
    name: bandwidth(size)
    for name, size in tqdm({"512 KiB": 2**19, "256 MiB": 2**28}.items(), leave=False)
}
plot_roofline(profile, bandwidths)
plt.show()

# %% [markdown]
# ## Fused against train-time
#
# The train-time form of S0 has four branches for every convolution, S1 to S4 have one. Run unfused,
# S0 does more multiply-adds than S1 and writes and adds up the results of several times as many
# branches, so that it is the slower one, although its fused form is the fastest of all. Comparisons
# that benchmark checkpoints as they are published run into this. An example: timm's results for an
# i9-10940X (`results/benchmark-infer-fp32-nchw-pt240-cpu-i9_10940x-dynamo.csv` in
# huggingface/pytorch-image-models: batch 1, float32, PyTorch 2.4, compiled), where S0 is slower
# than even S4. Its column of parameters shows which form ran:

# %%
# variant: (latency in ms, parameters in millions), timm's repository at 7479d451.
TIMM_I9_10940X = {
    "mobileone_s0": (21.974, 5.29),
    "mobileone_s1": (7.761, 4.83),
    "mobileone_s2": (8.776, 7.88),
    "mobileone_s3": (9.659, 10.17),
    "mobileone_s4": (12.618, 14.95),
}
print(f"{'':14}{'train-time':>12}{'fused':>10}{'timm':>10}   (M parameters)")
forms = {}
for name, (_, millions) in TIMM_I9_10940X.items():
    train = mobileone.create_model(name, seed=0)
    forms[name] = (train, mobileone.reparameterize(train))
    counts = [m.num_params / 1e6 for m in forms[name]]
    print(f"{name:14}{counts[0]:12.2f}{counts[1]:10.2f}{millions:10.2f}")
    assert round(counts[0], 2) == millions

# %%
labelled = {f"{n}, {m.form}": m for n, pair in forms.items() for m in pair}
result = mobileone.benchmark(labelled, threads=1, budget_s=2 * BUDGET_S)
times = {(row.arch, row.form): row.median_ms for row in result.rows}

fig, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
x = np.arange(len(forms))
for offset, form, color, hatch in (
    (-0.2, "train-time", PALETTE[1], "//"),
    (0.2, "inference", PALETTE[0], ""),
):
    bars = left.bar(x + offset, [times[n, form] for n in forms], 0.4, color=color, hatch=hatch,
                    edgecolor="white", linewidth=0.5, label=form)  # fmt: skip
    left.bar_label(bars, fmt="%.3g", fontsize="x-small", padding=2)
left.set_title("here: this engine, 1 thread", fontsize="medium")
left.margins(y=0.15)
left.legend(fontsize="small")
bars = right.bar(x, [ms for ms, _ in TIMM_I9_10940X.values()], 0.5, color=PALETTE[1], hatch="//",
                 edgecolor="white", linewidth=0.5)  # fmt: skip
right.bar_label(bars, fmt="%.3g", fontsize="x-small", padding=2)
right.set_title("published by timm: i9-10940X, train-time", fontsize="medium")
right.margins(y=0.15)
for ax in (left, right):
    ax.set_xticks(x, [n[-2:].upper() for n in forms])
    ax.set_ylabel("median latency (ms)" if ax is left else "latency (ms)")
plt.show()

# %%
train = {n: times[n, "train-time"] for n in forms}
print(f"train-time, S0 / S1: {train['mobileone_s0'] / train['mobileone_s1']:.2f}")
inference = {n: times[n, "inference"] for n in forms}
print(f"fused,      S0 / S1: {inference['mobileone_s0'] / inference['mobileone_s1']:.2f}")
for name in forms:
    print(f"{name}: fusing makes it {train[name] / inference[name]:.2f} × as fast")

# %% [markdown]
# ## What k branches cost
#
# The same network with *k* = 1 to 5 branches per convolution (the paper's over-parameterization
# factor, tuned for every variant; S0 has 4). Fused, all five are the same network. Each branch of
# the train-time form costs its arithmetic once more, and its result is written and read once more.

# %%
branched = {
    f"k = {k}": mobileone.create_model(MODEL, seed=0, num_conv_branches=k) for k in range(1, 6)
}
models = {**branched, "fused": mobileone.reparameterize(branched["k = 1"])}
cost = mobileone.benchmark(models, threads=1, budget_s=BUDGET_S)
cost

# %%
base = next(row for row in cost.rows if row.label == "fused")
rows = [row for row in cost.rows if row is not base]
fig, ax = plt.subplots(figsize=(7, 3.6), layout="constrained")
k = np.arange(1, len(rows) + 1)
ax.plot(
    k, [row.median_ms / base.median_ms for row in rows], "o-", color=PALETTE[1], label="latency"
)
ax.plot(k, [row.macs / base.macs for row in rows], "s--", color=PALETTE[0], label="multiply-adds")
ax.axhline(1, color="gray", linewidth=1)
ax.annotate(
    "fused, any k", (k[-1], 1), (0, 5), textcoords="offset points", ha="right", color="gray"
)
ax.set_xticks(k)
ax.set_ylim(0)
ax.set_xlabel("branches per convolution, k")
ax.set_ylabel("relative to the fused network")
ax.legend()
plt.show()

# %%
draw_block(branched["k = 2"], "stage1.1")
plt.show()

# %% [markdown]
# Where the train-time form spends its time, by kind of step:

# %%
unfused = mobileone.profile(branched["k = 4"], threads=1, runs=PROFILE_RUNS // 4)
frame = unfused.to_dataframe()
summed = (
    frame.groupby("kind")[["time_us", "percent", "macs"]]
    .sum()
    .sort_values("time_us", ascending=False)
)
summed.insert(0, "steps", frame.groupby("kind").size())
summed.round({"time_us": 0, "percent": 1})
