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
# # Re-parameterization, step by step
#
# MobileOne trains a sum of parallel branches and runs one convolution. Both are the same function:
# a batch norm in evaluation mode is affine, so that a branch is an affine map, and so is a sum of
# them. This notebook looks at a block, fuses the network, proves that nothing changed, and takes
# the result back to PyTorch.
#
#     pip install '.[notebook]'

# %% tags=["parameters"]
MODEL = "mobileone_s0"  # a variant (seeded weights) or the path of a train-time checkpoint
BLOCK = "stage1.1"
IMAGES = 2  # compared by verify, besides its own noise

# %%
import tempfile
from importlib.util import find_spec
from pathlib import Path

import matplotlib.pyplot as plt
import mobileone
import numpy as np
from mobileone.figures.drawing import block_names, draw_block
from mobileone.verification.rounding import rounding_bound
from tqdm.auto import tqdm

named = MODEL in mobileone.list_models()
model = mobileone.create_model(MODEL, seed=0) if named else mobileone.load(MODEL)
rng = np.random.default_rng(0)
if named:
    # Random weights need running statistics that fit them: forwards in training mode.
    model.train()
    for _ in tqdm(range(30), leave=False):
        model(rng.standard_normal((4, 3, 96, 96), dtype=np.float32))
    model.eval()
model

# %% [markdown]
# ## A block, as it is trained
#
# Every branch is a convolution and a batch norm: *k* equal ones, a 1×1 branch beside 3×3 kernels,
# and a batch norm alone where the block keeps its shape (the paper's figure 3). All of them read
# the same input, and every intermediate result is written to memory and read again.

# %%
print(len(block_names(model.graph)), "blocks:", *block_names(model.graph)[:4], "...")
draw_block(model, BLOCK)
plt.show()

# %% [markdown]
# ## The same block, fused
#
# A batch norm with scale $\gamma$, shift $\beta$, mean $\mu$ and variance $\sigma^2$ behind a
# kernel $W$ is the kernel $W\gamma/\sqrt{\sigma^2+\varepsilon}$ with the bias
# $\beta-\mu\gamma/\sqrt{\sigma^2+\varepsilon}$. A 1×1 kernel is a 3×3 kernel that is zero around
# its centre, the identity one that holds 1 there. Then kernels of the same size and biases add up.
# `reparameterize` does this in float64 and rounds once.

# %%
fused = mobileone.reparameterize(model)
draw_block(fused, BLOCK)
plt.show()

# %% [markdown]
# By hand, for the branches of this block that are convolutions, and the identity:

# %%
weights = {name: w.astype(np.float64) for name, w in model.state_dict().items()}


def gain_and_shift(bn: str) -> tuple[np.ndarray, np.ndarray]:
    gain = weights[f"{bn}.weight"] / np.sqrt(weights[f"{bn}.running_var"] + 1e-5)
    return gain, weights[f"{bn}.bias"] - weights[f"{bn}.running_mean"] * gain


expected = fused.state_dict()[f"{BLOCK}.reparam_conv.weight"]
kernel, bias = np.zeros(expected.shape), np.zeros(len(expected))
branches = sorted({n.rsplit(".", 2)[0] for n in weights if n.startswith(f"{BLOCK}.rbr_conv.")})
for branch in [*branches, f"{BLOCK}.rbr_scale", f"{BLOCK}.rbr_skip"]:
    conv, bn = f"{branch}.conv.weight", f"{branch}.bn"
    if conv in weights:
        w = weights[conv]
    elif f"{branch}.weight" in weights:  # the identity: a batch norm alone
        bn, w = branch, np.zeros(expected.shape)
        n, centre, channel = w.shape[1], w.shape[2] // 2, np.arange(len(w))
        w[channel, channel % n, centre, centre] = 1  # n is 1 where the block is depthwise
    else:
        continue
    gain, shift = gain_and_shift(bn)
    margin = (expected.shape[2] - w.shape[2]) // 2
    padded = np.pad(w, [(0, 0), (0, 0), (margin, margin), (margin, margin)])
    kernel += padded * gain[:, None, None, None]
    bias += shift

# Both sides round the same float64 sums, added in another order, to float32.
np.testing.assert_allclose(kernel, expected, rtol=2**-23, atol=2**-40)
np.testing.assert_allclose(
    bias, fused.state_dict()[f"{BLOCK}.reparam_conv.bias"], rtol=2**-23, atol=2**-40
)
print("the same kernel and bias as `reparameterize`'s")

# %% [markdown]
# ## What it saves
#
# Evaluated as it was trained, the network does the work of every branch.

# %%
for m in (model, fused):
    operators = len(m.graph.nodes) - 1  # without the input
    print(f"{m.form:>10}: {operators:4} operators, {m.num_params / 1e6:.2f} M parameters, "
          f"{m.macs / 1e6:7.1f} M MACs")  # fmt: skip

# %% [markdown]
# ## Proof
#
# `verify` runs both on images and compares every stage. float32 rounds, so that two correct
# networks differ a little; the bound is how much rounding explains, derived for this very network
# (docs/verification.md), not a tolerance that was tuned.

# %%
images = rng.standard_normal((IMAGES, 3, *model.input_size), dtype=np.float32)
evidence = mobileone.verify(model, fused, inputs=images)
assert evidence
evidence

# %%
evidence.plot()
plt.show()

# %% [markdown]
# A mistake that is often made, the wrong epsilon, is found in the stage where it begins. Here one
# block's batch norms get 1e-3 instead of 1e-5 (as Keras has it): the variance changes by the
# difference.

# %%
wrong = {name: w.copy() for name, w in model.state_dict().items()}
for name in wrong:
    if name.startswith("stage2.0.") and name.endswith("running_var"):
        wrong[name] += np.float32(1e-3 - 1e-5)
mistaken = mobileone.verify(model, mobileone.reparameterize(mobileone.load(wrong)))
assert mistaken.first_failure == "stage 2"
mistaken

# %% [markdown]
# ## Save, load, and back to PyTorch
#
# Files are `.safetensors`; the header says what the tensors do not. `state_dict(layout)` gives the
# arrays under the names of any public implementation.

# %%
with tempfile.TemporaryDirectory() as folder:
    path = Path(folder) / "fused.safetensors"
    fused.save(path)
    again = mobileone.load(path)
    print(again, f"{path.stat().st_size / 1e6:.1f} MB")
np.testing.assert_array_equal(again(images), fused(images))

state = fused.state_dict("timm")
print(*list(state)[:4], "...", sep="\n")

# %% [markdown]
# With PyTorch installed, the same arrays run there. The graph says which operator reads what; a
# fused network needs four kinds of them (and, in S4, squeeze-and-excite's two).

# %%
bound = np.sqrt(2) * rounding_bound(fused, images, ()).logits  # either side errs


def report(whose: str, theirs: np.ndarray) -> None:
    worst = np.abs(theirs - fused(images)).max()
    print(f"{whose}: logits differ by {worst:.1e}; float32 rounding explains {bound:.1e}")
    assert worst <= bound


if find_spec("torch"):
    import torch
    from torch.nn import functional

    def run(graph, arrays, x):
        w = {name: torch.tensor(array) for name, array in arrays.items()}
        values = {}
        for node in graph.nodes:
            name, a = node["name"], node["attributes"]
            inputs = [values[i] for i in node["inputs"]]
            match node["kind"]:
                case "Input":
                    y = x
                case "Conv2d":
                    weight, bias = w[f"{name}.weight"], w[f"{name}.bias"]
                    place = (a["stride"], a["padding"], a["dilation"], a["groups"])
                    y = functional.conv2d(inputs[0], weight, bias, *place)
                case "Activation":
                    y = getattr(torch, a["kind"])(inputs[0])
                case "Multiply":
                    y = inputs[0] * inputs[1]
                case "GlobalAvgPool":
                    y = inputs[0].mean((2, 3), keepdim=True)
                case "Linear":
                    y = functional.linear(
                        inputs[0].flatten(1), w[f"{name}.weight"], w[f"{name}.bias"]
                    )
            values[name] = y
        return values[graph.output_name]

    with torch.inference_mode():
        theirs = run(fused.graph, fused.state_dict(), torch.from_numpy(images)).numpy()
    report(f"PyTorch {torch.__version__}", theirs)
else:
    print("PyTorch is not installed: the state dict above is what it would take")

# %% [markdown]
# timm's own fused module takes timm's names, if timm and its torchvision are installed.

# %%
try:
    import timm.utils.model
    import torch
except ImportError as error:
    print(f"skipped: {error}")
else:
    module = timm.create_model(fused.arch, num_classes=fused.num_classes).eval()
    module = timm.utils.model.reparameterize_model(module)
    module.load_state_dict({name: torch.tensor(array) for name, array in state.items()})
    with torch.inference_mode():
        report(f"timm {timm.__version__}", module(torch.from_numpy(images)).numpy())
