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
# over memory behind a small network, and costs what these cost. Such a ratio says as much about
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
# ## Does latency follow FLOPs, or parameters? (Table 1)
#
# Over architectures of many families the paper finds a moderate rank correlation on the phone and
# none on a CPU. The package's models are one family, cut to several sizes: among them, latency
# follows size. A coefficient says as much about the choice of models as about the machine.

# %%
correlation = studies.correlation(threads=1, budget_s=BUDGET_S)
correlation

# %%
correlation.plot()
plt.show()

# %% [markdown]
# ## The small ones: µ0 to µ2 beside S0 to S4 (Table 9)

# %%
variants = studies.variants(threads=1, budget_s=BUDGET_S)
variants

# %%
variants.plot()
plt.show()
