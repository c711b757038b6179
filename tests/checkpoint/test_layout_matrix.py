"""The tables of docs/checkpoints.md: every cell that says yes loads, bit for bit."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

import ml_dtypes
import mobileone
import numpy as np
import pytest
import safetensors.torch
import torch
import torch_mobileone
from mobileone.checkpoint import LAYOUTS
from mobileone.checkpoint.wrappers import _EMA, _PLAIN
from mobileone.families import find_family
from numpy.typing import NDArray

from checkpoint.networks import OTHERS, TINY, fused, module_of, renamed, tensor_shapes, tensors

DOCUMENT = Path(__file__).parents[2] / "docs" / "checkpoints.md"
CONTAINERS = {
    ".safetensors": "safetensors",
    ".npz": "npz",
    "torch.save (zip)": "torch zip",
    "torch.save (before 1.6)": "torch legacy",
    "dict of arrays": "mapping",
    "torch.nn.Module": "module",
}
CONFIGS = {"MobileOne": TINY} | {find_family(name).title: o.TINY for name, o in OTHERS.items()}
FLAT = "flat"
FORMS = ("train-time", "inference")
IMAGES = np.random.default_rng(0).standard_normal((1, 4, 33, 40), np.float32)

Table = dict[tuple[str, ...], dict[str, str]]


def table(name: str, keys: int) -> Table:
    """Row keys -> column -> cell of the table behind the marker; the first columns are keys."""
    text = DOCUMENT.read_text(encoding="utf-8")
    lines = text.partition(f"<!-- table: {name} -->\n")[2].partition("\n\n")[0].splitlines()
    rows = [[cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in lines]
    header, rule, *body = rows
    assert all(re.fullmatch(r":?-+:?", cell) for cell in rule)
    return {tuple(r[:keys]): dict(zip(header[keys:], r[keys:], strict=True)) for r in body}


WRAPPERS, PREFIXES, DTYPES = table("wrappers", 3), table("prefixes", 2), table("dtypes", 1)


def cells(rows: Table, verdict: str) -> list[Any]:
    return [
        pytest.param(*keys, column, id="-".join((*keys, column)))
        for keys, columns in rows.items()
        for column, cell in columns.items()
        if cell == verdict
    ]


@cache
def canonical(network: str, form: str) -> tuple[dict[str, Any], dict[str, NDArray], NDArray]:
    """A small network with every kind of tensor, its weights, and its logits from these."""
    config = CONFIGS[network] if form == "train-time" else fused(CONFIGS[network])
    state = tensors(tensor_shapes(config))
    return config, state, mobileone.load(state)(IMAGES)


def make(state: dict[str, Any], container: str, wrapper: str, folder: Path) -> Any:
    """A source that holds the arrays (or tensors) in the container, under the wrapper."""
    if container == "dict of arrays":
        return state if wrapper == FLAT else {"epoch": 5, wrapper: state}
    if container == ".npz":
        assert wrapper == FLAT, "an archive holds no dict"
        np.savez(folder / "checkpoint.npz", **state)
        return folder / "checkpoint.npz"
    held: Any = {k: v if torch.is_tensor(v) else torch.tensor(v) for k, v in state.items()}
    if container == "torch.nn.Module":
        return module_of(held) if wrapper == FLAT else {"epoch": 5, wrapper: module_of(held)}
    held = held if wrapper == FLAT else {"epoch": 5, wrapper: held}
    path = folder / "checkpoint"
    if container == ".safetensors":
        safetensors.torch.save_file(held, path)
    else:
        torch.save(held, path, _use_new_zipfile_serialization=container == "torch.save (zip)")
    return path


def check(source: Any, layout: str, form: str, logits: NDArray) -> mobileone.Model:
    model = mobileone.load(source)
    assert (model.report.layout, model.form) == (layout, form)
    np.testing.assert_array_equal(model(IMAGES), logits, strict=True)
    return model


def test_the_tables_are_complete() -> None:
    names = [(find_family(layout.architecture).title, layout.name) for layout in LAYOUTS]
    assert list(WRAPPERS) == [(*name, container) for name in names for container in CONTAINERS]
    assert list(PREFIXES) == names
    assert list(DTYPES) == [(container,) for container in CONTAINERS]
    for columns in WRAPPERS.values():
        assert set(columns) == {FLAT, *_EMA, *_PLAIN}
    for columns in PREFIXES.values():
        assert set(columns) >= {"module.", "model.", "backbone.", "model.backbone."}
    said = {
        cell for t in (WRAPPERS, PREFIXES, DTYPES) for row in t.values() for cell in row.values()
    }
    assert said == {"yes", "–"}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("network", "layout", "container", "wrapper"), cells(WRAPPERS, "yes"))
def test_layout_container_wrapper(
    network: str, layout: str, container: str, wrapper: str, form: str, tmp_path: Path
) -> None:
    config, state, logits = canonical(network, form)
    source = make(renamed(state, config, layout), container, wrapper, tmp_path)
    report = check(source, layout, form, logits).report
    assert report.container == CONTAINERS[container]
    assert report.wrapper == ("" if wrapper == FLAT else wrapper)


@pytest.mark.parametrize(("network", "layout", "container", "wrapper"), cells(WRAPPERS, "–"))
def test_what_a_container_cannot_hold(
    network: str, layout: str, container: str, wrapper: str, tmp_path: Path
) -> None:
    config, state, _ = canonical(network, "inference")
    named = renamed(state, config, layout)
    with pytest.raises(Exception, match=r"(?i)tensor|dict"):
        make(named, container, wrapper, tmp_path)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("network", "layout", "prefix"), cells(PREFIXES, "yes"))
def test_layout_prefix(network: str, layout: str, prefix: str, form: str) -> None:
    config, state, logits = canonical(network, form)
    source = {prefix + name: array for name, array in renamed(state, config, layout).items()}
    removed = "".join(check(source, layout, form, logits).report.prefixes)
    # A backbone. of mmpretrain's own is part of its names, not a prefix.
    assert removed == prefix or (layout, prefix) == ("mmpretrain", "backbone.")


@pytest.mark.parametrize(("container", "dtype"), cells(DTYPES, "–"))
def test_what_numpy_cannot_name(container: str, dtype: str, tmp_path: Path) -> None:
    config, state, _ = canonical("MobileOne", "train-time")
    narrow = np.dtype(getattr(ml_dtypes, dtype))
    typed = {k: v.astype(narrow) if v.dtype == np.float32 else v for k, v in state.items()}
    source = make(renamed(typed, config, "timm"), container, FLAT, tmp_path)
    with pytest.raises(mobileone.CheckpointError, match="is an array of dtype V2"):
        mobileone.load(source)


@pytest.mark.parametrize(("container", "dtype"), cells(DTYPES, "yes"))
def test_container_dtype(container: str, dtype: str, tmp_path: Path) -> None:
    config, state, _ = canonical("MobileOne", "train-time")
    narrow = np.dtype(getattr(ml_dtypes, dtype) if dtype == "bfloat16" else dtype)
    typed = {k: v.astype(narrow) if v.dtype == np.float32 else v for k, v in state.items()}
    if dtype == "float64":  # with digits that float32 does not have
        typed = {k: v * (1 + 1e-9) if v.dtype == np.float64 else v for k, v in typed.items()}
    expected = {k: v.astype(np.float32) if v.dtype == narrow else v for k, v in typed.items()}
    held: dict[str, Any] = typed
    if container not in ("dict of arrays", ".npz"):
        kind = getattr(torch, dtype)
        held = {
            k: torch.tensor(v.astype(np.float64)).to(kind) if v.dtype == narrow else torch.tensor(v)
            for k, v in typed.items()
        }
    source = make(renamed(held, config, "timm"), container, FLAT, tmp_path)
    model = check(source, "timm", "train-time", mobileone.load(expected)(IMAGES))
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, expected[name], strict=True)


def test_from_torch_takes_modules_only() -> None:
    module = torch_mobileone.create("mobileone_mu0")
    images = IMAGES[:, :3]
    np.testing.assert_array_equal(
        mobileone.from_torch(module)(images), mobileone.load(module)(images)
    )
    with pytest.raises(TypeError, match=r"module is a dict; expected a torch\.nn\.Module"):
        mobileone.from_torch({})
