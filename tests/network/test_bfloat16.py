"""compile(dtype="bfloat16"): what it computes, where it runs, what it refuses."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys

import mobileone
import numpy as np
import pytest
from cases import MOBILEONE, each_family, images
from mobileone._core import GraphBuilder, Plan, initialize, native_dtypes
from numpy.typing import NDArray

NATIVE = "bfloat16" in native_dtypes()
needs_instructions = pytest.mark.skipif(not NATIVE, reason="this CPU has no AVX512-BF16")


def computed(model: mobileone.Model, x: NDArray, **how) -> NDArray:
    backend = "auto" if NATIVE else "emulated"
    return model.compile(x.shape, **{"dtype": "bfloat16", "backend": backend, **how})(x)


# Without squeeze-and-excite, whose sigmoid is another approximation on each instruction set.
@needs_instructions
@pytest.mark.parametrize("size", [(64, 64), (45, 90)])
@pytest.mark.parametrize("name", ["mobileone_s0", "mobileone_mu1"])
def test_the_emulation_has_the_same_bits(name: str, size: tuple[int, int]) -> None:
    model = mobileone.reparameterize(mobileone.create_model(name, seed=4))
    x = images(2, size)
    np.testing.assert_array_equal(computed(model, x), computed(model, x, backend="emulated"))


# No exponential, or the softmax of attention, which is float32's.
@needs_instructions
@pytest.mark.parametrize("activation", ["relu", "relu6", "hard_swish", "leaky_relu"])
@pytest.mark.parametrize("name", ["mobileone_mu0", "mobilevit_xxs"])
def test_the_emulation_has_the_same_activations(name: str, activation: str) -> None:
    made = mobileone.create_model(name, seed=4, activation=activation)
    model, x = mobileone.reparameterize(made), images(1, (64, 96))
    np.testing.assert_array_equal(computed(model, x), computed(model, x, backend="emulated"))


@pytest.mark.parametrize("backend", ["auto", "emulated"])
def test_threads_and_batches_have_the_same_bits(backend: str) -> None:
    if backend == "auto" and not NATIVE:
        pytest.skip("this CPU has no AVX512-BF16")
    model = mobileone.reparameterize(mobileone.create_model("mobileone_s0", seed=1))
    x = images(3, (64, 64))
    expected = computed(model, x, backend=backend, threads=1)
    np.testing.assert_array_equal(computed(model, x, backend=backend, threads=2), expected)
    for image, logits in zip(x, expected, strict=True):
        found = computed(model, image[None], backend=backend, threads=2)
        np.testing.assert_array_equal(found[0], logits)


# The bound is derived, and what float32 explains is a small part of it: something was rounded.
@each_family
@pytest.mark.parametrize("size", [33, 64])
def test_results_are_within_the_derived_bound(family, size: int) -> None:
    model = family.make("inference")
    plain = mobileone.verify(model, model, input_size=size)
    found = mobileone.verify(model, model, input_size=size, dtype="bfloat16")
    assert found, repr(found)
    assert "bfloat16" in found.candidate
    last, before = found.rows[-1], plain.rows[-1]
    assert last.max_abs > before.bound
    assert last.bound > 100 * before.bound


def test_squeeze_and_excite_is_within_the_bound() -> None:
    model = MOBILEONE.make("inference", se_depths=[1, 2])
    found = mobileone.verify(model, model, dtype="bfloat16")
    assert found, repr(found)


def test_another_network_is_found() -> None:
    model = MOBILEONE.make("inference")
    weights = dict(model.state_dict())
    name = next(key for key in weights if key.startswith("stage2.1") and key.endswith("weight"))
    altered = np.array(weights[name])
    altered[0] *= 1.5
    other = mobileone.load({**weights, name: altered})
    assert not mobileone.verify(model, other, dtype="bfloat16", algebra=False)


def test_a_compiled_model_keeps_it() -> None:
    model = MOBILEONE.make("inference")
    x = images(1, (40, 40))
    compiled = model.compile(x.shape, dtype="bfloat16", backend="emulated", threads=1)
    assert "avx2_bf16 emulated" in compiled.describe()
    again = pickle.loads(pickle.dumps(compiled))
    assert "avx2_bf16 emulated" in again.describe()
    np.testing.assert_array_equal(again(x), compiled(x))
    assert np.any(compiled(x) != model(x))


def test_what_is_refused() -> None:
    model = MOBILEONE.make("inference")
    shape = (1, 3, 32, 32)
    with pytest.raises(ValueError, match="dtype is 'float16'; expected 'float32' or 'bfloat16'"):
        model.compile(shape, dtype="float16")
    for backend in ("onednn", "loops"):
        with pytest.raises(ValueError, match=f"backend '{backend}'; expected 'auto' or 'emulated'"):
            model.compile(shape, dtype="bfloat16", backend=backend)
    with pytest.raises(ValueError, match=r"backend is 'emulated'.*expected 'bfloat16'"):
        model.compile(shape, backend="emulated")
    builder = GraphBuilder()
    builder.add("x", "Input", channels=3)
    builder.add("conv", "Conv2d", ["x"], in_channels=3, out_channels=4, kernel_size=[3, 3])
    builder.output("conv")
    network = initialize(builder.build(), 0)
    with pytest.raises(NotImplementedError, match=r"no stem, no block .*expected 'float32'"):
        Plan(network, shape, ["conv"], 1, backend="emulated", dtype="bfloat16")


def test_a_cpu_without_the_instructions_says_so() -> None:
    script = """
import mobileone, numpy as np
model = mobileone.create_model("custom", widths=[8, 12], depths=[1, 1], form="inference")
try:
    model.compile((1, 3, 32, 32), dtype="bfloat16")
except NotImplementedError as error:
    print(error)
x = np.ones((1, 3, 32, 32), np.float32)
emulated = model.compile(x.shape, dtype="bfloat16", backend="emulated")(x)
print(bool(mobileone.verify(model, model, dtype="bfloat16")), emulated.shape)
"""
    environment = {**os.environ, "MOBILEONE_MAX_ISA": "avx2"}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
    )
    error, found = done.stdout.splitlines()
    assert "'bfloat16'" in error
    assert "avx512_bf16" in error
    assert "backend='emulated'" in error
    assert found == "True (1, 1000)"
