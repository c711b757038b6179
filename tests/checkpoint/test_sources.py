"""Sources that are not files: mappings of arrays, torch tensors and torch modules."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from mobileone.checkpoint import CheckpointError, load_state_dict
from torch import nn

from .networks import CONFIGS, TINY, fused, tensor_shapes, tensors

STATE = tensors(tensor_shapes(TINY))


class Holder(nn.Module):
    """A torch module with exactly the tensors of a state dict, under dotted names."""

    def __init__(self, state: dict[str, np.ndarray]) -> None:
        super().__init__()
        for name, array in state.items():
            *path, leaf = name.split(".")
            module: nn.Module = self
            for part in path:
                if not hasattr(module, part):
                    module.add_module(part, nn.Module())
                module = getattr(module, part)
            tensor = torch.from_numpy(array.copy())
            if "running" in leaf or "tracked" in leaf:
                module.register_buffer(leaf, tensor)
            else:
                module.register_parameter(leaf, nn.Parameter(tensor))


def check_same(state: dict, expected: dict) -> None:
    assert list(state) == list(expected)
    for name, array in expected.items():
        np.testing.assert_array_equal(state[name], array, strict=True)


def load(source: object) -> dict[str, np.ndarray]:
    return load_state_dict(source, parameter_shapes=tensor_shapes).state


def test_module() -> None:
    module = Holder(STATE)
    loaded = load_state_dict(module, parameter_shapes=tensor_shapes)
    check_same(loaded.state, STATE)
    assert loaded.report.container == "module"
    assert loaded.report.source == "the given Holder"
    check_same(load(nn.DataParallel(module)), STATE)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_modules_of_other_precisions(dtype: torch.dtype) -> None:
    module = Holder(STATE).to(dtype)
    expected = {
        name: tensor.float().numpy() if tensor.is_floating_point() else tensor.numpy()
        for name, tensor in module.state_dict().items()
    }
    state = load(module)
    for name, array in expected.items():
        np.testing.assert_array_equal(state[name], array, strict=True)


def test_a_module_without_elements() -> None:
    """One weight is enough, as in modules that are moved to the CPU part by part."""
    module = Holder(STATE)
    module.stage2.to("meta")
    with pytest.raises(CheckpointError, match=r"stage2\.0\..* is on the meta device"):
        load(module)


def test_loading_does_not_change_a_module() -> None:
    module = Holder(STATE).half().train()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    load(module)
    assert module.training
    for name, tensor in module.state_dict().items():
        assert tensor.dtype == before[name].dtype
        assert torch.equal(tensor, before[name])


def test_strided_arrays() -> None:
    awkward = {}
    for i, (name, array) in enumerate(STATE.items()):
        if array.ndim == 4 and i % 2:
            awkward[name] = np.asfortranarray(array)
        elif array.ndim:
            wide = np.empty((2 * array.shape[0], *array.shape[1:]), array.dtype)
            wide[::2] = array
            awkward[name] = wide[::2] if i % 3 else wide[::2][::-1][::-1]
        else:
            awkward[name] = array
    check_same(load(awkward), STATE)
    assert all(array.flags.c_contiguous and array.flags.aligned for array in load(awkward).values())


def test_unaligned_and_swapped_arrays() -> None:
    awkward = {}
    for name, array in STATE.items():
        raw = np.empty(array.nbytes + 1, np.uint8)
        raw[1:] = np.frombuffer(array.tobytes(), np.uint8)
        unaligned = raw[1:].view(array.dtype).reshape(array.shape)
        swapped = array.astype(array.dtype.newbyteorder(">"))
        awkward[name] = unaligned if len(awkward) % 2 else swapped
    state = load(awkward)
    check_same(state, STATE)
    assert all(a.flags.aligned and a.dtype.isnative for a in state.values())


def test_torch_tensors_with_gradients_and_strides() -> None:
    source = {}
    for name, array in STATE.items():
        tensor = torch.from_numpy(array)
        if tensor.ndim == 4:
            tensor = tensor.to(memory_format=torch.channels_last).requires_grad_()
        source[name] = tensor
    check_same(load(source), STATE)


def test_float32_is_not_copied() -> None:
    state = load(STATE)
    for name, array in STATE.items():
        assert np.shares_memory(state[name], array) or array.dtype == np.int64


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        (torch.zeros(3, device="meta"), "meta"),
        (torch.eye(3).to_sparse(), "sparse"),
        (torch.zeros(3, dtype=torch.complex64), "complex64"),
        (torch.zeros(3, dtype=torch.float8_e5m2), "float8"),
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")
def test_other_kinds_of_tensors(tensor: torch.Tensor, message: str) -> None:
    name = "stage2.4.se.reduce.bias"
    source = STATE | {name: tensor if tensor.ndim == 1 else tensor[0]}
    with pytest.raises(CheckpointError, match=rf"stage2\.4\.se\.reduce\.bias: .*{message}"):
        load(source)


def test_masked_arrays() -> None:
    name = "stage2.4.se.reduce.bias"
    check_same(load(STATE | {name: np.ma.array(STATE[name])}), STATE)
    masked = np.ma.array(STATE[name], mask=np.arange(STATE[name].size) == 1)
    with pytest.raises(CheckpointError, match=r"reduce\.bias: not an array: .*1 masked elements"):
        load(STATE | {name: masked})


def test_an_array_without_array() -> None:
    class Odd:
        shape = (3,)

        def __array__(self, dtype: object = None, copy: object = None) -> np.ndarray:
            raise TypeError("not today")

    with pytest.raises(CheckpointError, match=r"reduce\.bias: not an array: not today"):
        load(STATE | {"stage2.4.se.reduce.bias": Odd()})


def test_a_fused_module() -> None:
    state = tensors(tensor_shapes(fused(TINY)))
    check_same(load(Holder(state)), state)


def test_large_modules_are_recognised() -> None:
    state = tensors(tensor_shapes(CONFIGS["mobileone_mu0"]))
    loaded = load_state_dict(Holder(state), parameter_shapes=tensor_shapes)
    assert loaded.config["arch"] == "mobileone_mu0"


def test_importing_costs_numpy_only() -> None:
    script = (
        "import sys; before = set(sys.modules); import numpy, mobileone.checkpoint; "
        "heavy = {'torch', 'safetensors', 'matplotlib', 'pandas', 'PIL', 'tqdm'}; "
        "assert not heavy & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
