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
# # The paper's own studies, on this CPU
#
# Before it presents a network, the MobileOne paper (Vasu et al., CVPR 2023) asks what makes a
# network slow: FLOPs, parameters, activation functions, squeeze-and-excitation, skip connections?
# Its answers come from an iPhone 12. Here are the same questions to the CPU that runs this page,
# measured in interleaved rounds, beside the paper's numbers.

# %% tags=["parameters"]
BUDGET_S = 8  # seconds of timed runs per study

# %%
import matplotlib.pyplot as plt
from mobileone import studies

# %% [markdown]
# ## Activation functions (Table 2)
#
# One network of 30 layers, seven activation functions. The paper says no more about its network
# than the number of layers; `studies.plain_cnn` is MobileNetV1 with one pair of layers more.
#
# *ReLU*, *GELU* and *SiLU* are computed inside the convolution before them. *SE-ReLU* has to see a
# whole feature map before it can scale it, and so do the dynamic ones: *dynamic ReLU* (Chen et
# al. 2020) is the larger of two lines whose slopes and offsets a small network computes from the
# image, for all channels alike (A) or for each (B); *dynamic shift-max* (Li et al. 2021) mixes in
# a second channel.

# %%
activations = studies.activations(threads=1, budget_s=BUDGET_S)
activations

# %%
activations.plot()
plt.show()

# %% [markdown]
# On the phone the dynamic functions took 37 to 179 times as long as ReLU. Here each is one loop
# over memory after a small network, and costs what these cost. Such a ratio says as much about
# the software that runs a function as about the function.

# %% [markdown]
# ## Squeeze-and-excitation and skip connections (Table 3)
#
# Neither does much arithmetic. The first waits for a mean over all pixels, the second keeps an
# activation in memory and reads it again.

# %%
blocks = studies.blocks(threads=1, budget_s=BUDGET_S)
blocks

# %%
blocks.plot()
plt.show()

# %% [markdown]
# ## Published networks (Table 9)
#
# The paper's comparison: convolutional networks and transformers of its time, with the accuracy
# that their authors report beside the latency on a CPU, a GPU and a phone. Here they run in this
# engine, with seeded weights, which do not change the time. *The figure*
# joins those that no other network is both faster than and as accurate as.

# %%
published = studies.table9(runtimes=[], threads=1, budget_s=BUDGET_S)
published

# %%
published.plot()
plt.show()

# %% [markdown]
# ## Does latency follow FLOPs, or parameters? (Table 1)
#
# Over twelve networks the paper finds a moderate rank correlation with latency on the phone and
# none on a CPU. In one engine that treats all of them alike, latency on this CPU does follow the
# multiply-adds. A coefficient says as much about software as about the machine.

# %%
published.correlation()

# %%
published.correlation().plot()
plt.show()

# %% [markdown]
# ## The same in other engines
#
# Measured once, on a core of an AMD Zen 5 with nothing else running, by
#
# ```
# python -c "import json; from mobileone import studies; r = studies.table9(budget_s=40).to_dict();
# json.dump({k: r[k] for k in ('rows', 'fronts')}, open('notebooks/table9.json', 'w'), indent=1)"
# ```
#
# Time of ONNX Runtime and OpenVINO over this engine's: above 1 this engine is faster.

# %%
import json
from pathlib import Path

import pandas as pd

stored = json.loads(Path("table9.json").read_text(encoding="utf-8"))
rows = sorted(stored["rows"], key=lambda row: row["min_ms"]["mobileone"])
pd.DataFrame(
    {
        "ms": [round(row["min_ms"]["mobileone"], 2) for row in rows],
        "onnxruntime": [round(row["ratios"]["onnxruntime"], 2) for row in rows],
        "openvino": [round(row["ratios"]["openvino"], 2) for row in rows],
        "the paper's CPU, ms": [row["paper"] and row["paper"]["cpu_ms"] for row in rows],
    },
    index=[row["label"] for row in rows],
)

# %% [markdown]
# And how well latency in each follows the multiply-adds of the network:

# %%
macs = [row["macs"] for row in rows]
for engine in rows[0]["min_ms"]:
    found = studies.rank_correlation(macs, [row["min_ms"][engine] for row in rows])
    print(f"{engine:12} {found.coefficient:.2f}, p {found.p_value:.1g}")

# %% [markdown]
# ## The small ones: µ0 to µ2 beside S0 to S4

# %%
variants = studies.variants(threads=1, budget_s=BUDGET_S)
variants

# %%
variants.plot()
plt.show()
