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
# # Latency on this CPU
#
# MobileOne S0–S4 in this engine and, for one of them, in the other runtimes that are installed:
# float32, the same cores, one engine awake at a time. How that is made fair is in
# docs/benchmarking.md; the full comparison is `python -m benchmarks.runtimes`. This notebook keeps
# it short: raise the numbers in the next cell for numbers to rely on.
#
# The load average printed under *Threads* says how busy the machine was: on a busy one the ratios
# of interleaved rounds hold, milliseconds and the scaling over threads do not.

# %% tags=["parameters"]
RIVAL_MODEL = "mobileone_s0"
ENGINES = None  # None: what is installed, without torch-compile, which compiles for minutes
ROUNDS = 12  # turns of every engine; 60 for numbers to rely on
TURN_S = 0.04  # seconds of a turn; 0.2 for numbers to rely on
BUDGET_S = 6  # seconds of timed runs of S0-S4 together
SCALING_BUDGET_S = 2  # ... per number of threads

# %%
import os
import sys
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import mobileone
import numpy as np
from IPython.display import HTML, display
from mobileone.figures.plots import PALETTE
from mobileone.studies import paper
from mobileone.util.machine.environment import fingerprint
from mobileone.util.machine.threads import physical_cores
from tqdm.auto import tqdm

facts = fingerprint()
print(facts["cpu"]["model"], "with", mobileone._core.isa())
print({name: version for name, version in facts["versions"].items() if version})

# %% [markdown]
# ## S0–S4 in this engine
#
# The paper's protocol (section 3.5): loaded and warmed up, batch 1, the minimum of many runs; the
# distribution beside it. The variants take turns, so that a machine that changes its speed slows
# all of them.

# %%
VARIANTS = [f"mobileone_s{i}" for i in range(5)]
latency = mobileone.benchmark(VARIANTS, threads=1, budget_s=BUDGET_S)
latency

# %%
latency.plot()
plt.show()

# %% [markdown]
# The same samples as cumulative distributions, relative to each variant's minimum: a quiet machine
# draws steep lines close to 1, a busy one a long tail; a step is a second speed of the machine.

# %%
fig, ax = plt.subplots(figsize=(8, 3.6), layout="constrained")
for i, (label, ns) in enumerate(latency.samples.items()):
    relative = np.sort(ns) / ns.min()
    color, dashes = (*PALETTE, "gray")[i % 5], ("-", "--", "-.", ":", (0, (5, 1)))[i % 5]
    share = 100 * np.arange(1, len(ns) + 1) / len(ns)
    ax.plot(relative, share, linestyle=dashes, color=color, linewidth=1.8, label=label)
ax.set_xlim(
    0.98, max(1.1, max(np.percentile(ns, 95) / ns.min() for ns in latency.samples.values()))
)
ax.set_xlabel("latency / its minimum")
ax.set_ylabel("runs at most as slow (%)")
ax.grid(alpha=0.3)
ax.legend(loc="lower right")
plt.show()

# %% [markdown]
# ## The other runtimes
#
# Every engine in a process of its own on the same CPU, in interleaved rounds; its logits must
# agree with ours within what float32 rounding explains before its time counts. *time / ours* above
# 1: ours is faster. A second process of our own engine gives the noise: differences within its
# spread are ties.

# %%
root = next(p for p in [Path.cwd(), *Path.cwd().parents] if (p / "benchmarks/runtimes").is_dir())
sys.path.insert(0, str(root))

from benchmarks.runtimes.case import write_case
from benchmarks.runtimes.cpus import choose_cpus
from benchmarks.runtimes.harness import Protocol, convert, measure
from benchmarks.runtimes.registry import DEFAULT
from benchmarks.runtimes.tables import case_table

engines = list(ENGINES or DEFAULT)
protocol = Protocol(rounds=ROUNDS, turn_s=TURN_S, settle_s=0.01, warm_up_s=0.2)
cpus = choose_cpus(1)
with (
    tempfile.TemporaryDirectory() as folder,
    tqdm(total=2 * len(engines) + 1 + ROUNDS, leave=False) as bar,
):

    def say(text: str) -> None:
        bar.set_description(text)
        bar.update()

    case = write_case(RIVAL_MODEL, 1, None, 0, Path(folder))
    unavailable = convert(case, engines, [1], cpus, None, say)
    rivals = measure(case, engines, 1, cpus, None, protocol, unavailable, say)

for engine, reason in unavailable.items():
    print(f"left out: {engine}: {reason}")
display(HTML(case_table(rivals).to_html()))

# %%
measured = sorted((e for e in rivals.entries if e.rounds), key=lambda e: e.median_ms)
ratios = {e.engine: rivals.ratio(e) for e in measured if rivals.ratio(e) is not None}
fig, ax = plt.subplots(figsize=(8, 1.4 + 0.45 * (len(ratios) + 1)), layout="constrained")
if rivals.null is not None:
    spread = rivals.null.spread
    ax.axvspan(
        1 / spread,
        spread,
        color="gray",
        alpha=0.3,
        linewidth=0,
        label="a tie: the null run's spread",
    )
ax.barh(["mobileone"], [1], 0.6, color=PALETTE[0])
for name, ratio in ratios.items():
    error = [[ratio.median - ratio.low], [ratio.high - ratio.median]]
    ax.barh(
        name, ratio.median, 0.6, color=PALETTE[1], alpha=0.8, xerr=error, ecolor="gray", capsize=3
    )
    ax.plot(ratio.of_minima, name, "o", color="gray", markersize=6)
    ax.annotate(f"{ratio.median:.2f} ×", (max(ratio.high, ratio.of_minima), name), (8, 0),
                textcoords="offset points", va="center", fontsize="small")  # fmt: skip
ax.plot([], [], "o", color="gray", label="of minima")
ax.axvline(1, color="gray", linewidth=1)
ax.margins(x=0.12)
ax.invert_yaxis()
ax.set_xlabel("time / ours: median over rounds with its 95 % interval")
ax.set_title(f"{case.model}, batch 1, 1 thread, float32", fontsize="medium")
ax.legend(fontsize="small", loc="upper right")
plt.show()

# %% [markdown]
# ## Threads
#
# Speed-up over one thread, of the minima. Small networks have little to share: between two layers
# all threads wait for the slowest one. Other programs at work hit many threads hardest; the load
# average below says whether there were any.

# %%
cores = physical_cores(os.sched_getaffinity(0))
counts = sorted({count for count in (1, 2, 4, 8, cores) if count <= cores})
fastest: dict[str, list[float]] = {}
for count in counts:
    scaled = mobileone.benchmark(
        ["mobileone_s0", "mobileone_s4"], threads=count, budget_s=SCALING_BUDGET_S
    )
    for row in scaled.rows:
        fastest.setdefault(row.label, []).append(row.min_ms)

fig, ax = plt.subplots(figsize=(6, 3.6), layout="constrained")
ax.plot(counts, counts, ":", color="gray", label="ideal")
for (label, times), marker, color in zip(fastest.items(), "os", PALETTE, strict=False):
    ax.plot(counts, times[0] / np.array(times), marker + "-", color=color, label=label)
ax.set_xticks(counts)
ax.set_ylim(0)
ax.set_xlabel("threads (one physical core each)")
ax.set_ylabel("speed-up over one thread")
ax.legend()
plt.show()
print(f"load average {os.getloadavg()[0]:.1f} on {cores} cores, these runs included")

# %% [markdown]
# ## Accuracy against latency
#
# Top-1 on ImageNet is published (Vasu et al., CVPR 2023, Table 9, without distillation), and not
# measured here. The latency is measured here, above. Beside it stand the latencies that the same
# table gives for an Intel Xeon Gold 5118 (the authors' CPU column) and for an iPhone 12 in Core ML:
# the *shapes* of the curves can be compared, their milliseconds cannot.

# %%
ours = {row.label: row for row in latency.rows}
lines = {
    "this CPU, 1 thread": {name: ours[name].min_ms for name in VARIANTS if name in ours},
    "Xeon Gold 5118 (published)": paper.CPU_MS,
    "iPhone 12 (published)": paper.MOBILE_MS,
}
TOP1 = paper.TOP1
fig, ax = plt.subplots(figsize=(8, 4), layout="constrained")
for (label, times), marker, color, dx in zip(
    lines.items(), "o^s", PALETTE, (9, 9, -9), strict=False
):
    ax.plot(list(times.values()), [TOP1[n] for n in times], marker + "-", color=color, label=label)
    for name, ms in times.items():
        ax.annotate(name[-2:].upper(), (ms, TOP1[name]), (dx, -3), textcoords="offset points",
                    ha="left" if dx > 0 else "right", color=color)  # fmt: skip
ax.set_xscale("log")
ax.set_xticks([0.5, 1, 2, 5, 10, 20, 40], ["0.5", "1", "2", "5", "10", "20", "40"])
ax.minorticks_off()
ax.set_xlabel("latency (ms, minimum; logarithmic)")
ax.set_ylabel("published top-1 (%)")
ax.margins(x=0.1, y=0.15)
ax.grid(alpha=0.3)
ax.legend(loc="upper center")
plt.show()
