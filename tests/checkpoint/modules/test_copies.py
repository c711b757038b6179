"""Copies of weights that are made while a module runs, and taken by the network as they are."""

from __future__ import annotations

import threading

import mobileone
import numpy as np
import pytest
import torch
from mobileone._core import Network, finite_copies
from mobileone.checkpoint.copies import Copies

from .altered import small


def test_finite_copies_are_read_only_and_equal() -> None:
    arrays = [np.arange(12, dtype=np.float32).reshape(3, 4), np.float32([[-0.0]]), np.ones(7, "f4")]
    copies = finite_copies(arrays)
    for array, copy in zip(arrays, copies, strict=True):
        assert copy is not None
        np.testing.assert_array_equal(copy, array)
        assert not np.shares_memory(copy, array)
        assert not copy.flags.writeable
        with pytest.raises(ValueError, match="WRITEABLE"):
            copy.flags.writeable = True


@pytest.mark.parametrize("at", [0, 3, 4, 16, 17])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_there_is_no_copy_where_an_element_is_not_finite(at: int, value: float) -> None:
    array = np.full(18, np.finfo(np.float32).max, np.float32)
    finite = array.copy()
    array[at] = value
    first, second = finite_copies([array, finite])
    assert first is None
    assert second is not None


def network_of_one() -> tuple[Network, dict[str, np.ndarray]]:
    model = mobileone.create_model("mobileone_mu0", seed=0)
    network = model.bundle.network
    return network, dict(network.weights())


def test_a_network_takes_them_without_copying() -> None:
    network, weights = network_of_one()
    name = next(n for n, w in weights.items() if w.dtype == np.float32)
    (copy,) = finite_copies([np.array(weights[name])])
    again = Network(network.graph, {**weights, name: copy})
    assert np.shares_memory(again.weights()[name], copy)
    # What others may write to is copied: views of it, and what training changes in place.
    part = copy[...]
    assert not np.shares_memory(
        Network(network.graph, {**weights, name: part}).weights()[name], copy
    )
    _, writeable = network.writeable_copy()
    held = writeable[name]
    held.flags.writeable = False
    assert not np.shares_memory(
        Network(network.graph, {**weights, name: held}).weights()[name], held
    )


def test_only_what_numpy_takes_as_it_is_is_copied_ahead() -> None:
    whole = torch.arange(6.0).reshape(2, 3)
    tensors = {
        "whole": whole,
        "half": whole.half(),
        "columns": whole.T,
        "bfloat16": whole.bfloat16(),
        "nan": whole * torch.nan,
        "none": torch.empty(0),
        "grad": whole.clone().requires_grad_(),
    }
    copies = Copies(tensors, meanwhile=True)
    made = {key: copies.get(key) for key in tensors}
    assert {key for key, copy in made.items() if copy is not None} == {"whole", "grad"}
    np.testing.assert_array_equal(made["whole"], whole.numpy())
    assert copies.get("other") is None


@pytest.fixture
def module() -> torch.nn.Module:
    return small("mobileone").eval()


def test_a_module_that_changes_later_is_another(module: torch.nn.Module) -> None:
    model = mobileone.load(module)
    image = np.random.default_rng(0).standard_normal((1, 3, 64, 64), dtype=np.float32)
    before = model(image)
    with torch.no_grad():
        for tensor in module.state_dict().values():
            tensor.zero_()
    np.testing.assert_array_equal(model(image), before)


def test_without_threads_the_same(module: torch.nn.Module, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = mobileone.load(module).state_dict()

    def no_more(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", no_more)
    found = mobileone.load(module, check=False).state_dict()
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value)


def test_elements_that_are_not_finite_are_named(module: torch.nn.Module) -> None:
    name = next(n for n, w in module.state_dict().items() if w.ndim == 4)
    with torch.no_grad():
        module.state_dict()[name].flatten()[5] = torch.inf
    with pytest.raises(ValueError, match=f"(?s){name}.*inf.*expected finite weights"):
        mobileone.load(module, check=False)
