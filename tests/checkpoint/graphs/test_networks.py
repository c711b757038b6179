"""Some of timm's networks by every route; `python -m checkpoint.graphs.networks` runs them all."""

from __future__ import annotations

import pickle
from functools import cache
from pathlib import Path

import mobileone
import numpy as np
import pytest
import torch

from checkpoint.timm_models import import_timm, trained_looking

from .networks import ROUTES, by_dynamo, forms, ratio

# Of every kind of block one: small, so that the tests stay quick.
SMALL = {
    "repvit_m0_9": {"embed_dim": (8, 16), "depth": (2, 2), "num_classes": 10},
    "mobilenetv3_small_050": {"num_classes": 10},
    "fastvit_t8": {"layers": (1, 1, 1, 1), "embed_dims": (16, 32, 64, 128), "num_classes": 10},
    "convnext_atto": {"depths": (1, 1, 1, 1), "dims": (8, 16, 24, 32), "num_classes": 10},
    "vit_tiny_patch16_224": {"img_size": 64, "embed_dim": 24, "depth": 2, "num_classes": 10},
    "ghostnet_050": {"num_classes": 10},
}
SIZE = 64


@cache
def module(name: str) -> torch.nn.Module:
    torch.manual_seed(0)
    return trained_looking(import_timm().create_model(name, **SMALL[name]).eval())


def images(count: int) -> torch.Tensor:
    return torch.randn(count, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1))


@cache
def loaded(name: str, route: str, folder: Path) -> mobileone.Model:
    if route == "dynamo":
        pytest.importorskip("onnxscript")
    return ROUTES[route](module(name), images(1), folder)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("networks")


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("name", SMALL)
def test_computes_what_pytorch_does(name: str, route: str, folder: Path) -> None:
    """Two images, where the program was made with one."""
    for form in forms(loaded(name, route, folder)):
        assert ratio(form, module(name), images(2).numpy()) <= 1


def test_files_of_the_newer_exporter_are_fused(tmp_path: Path) -> None:
    """Most norms are folded in them, some identities' and no sums are; weights are beside them."""
    pytest.importorskip("onnxscript")
    by_dynamo(module("fastvit_t8"), images(1), tmp_path)
    fusion = mobileone.fuse_onnx(tmp_path / "dynamo.onnx", tmp_path / "fused.onnx")
    assert fusion
    assert len(fusion.regions) > 10
    assert (tmp_path / "fused.onnx.data").exists()
    x = images(1).numpy()
    again = mobileone.load(tmp_path / "fused.onnx")
    assert again.form == "inference"
    # The same parameters as by our own algebra on the graph.
    both = mobileone.reparameterize(mobileone.load(tmp_path / "dynamo.onnx"))
    assert again.num_params <= both.num_params
    assert ratio(again, module("fastvit_t8"), x) <= 1


def test_every_verb(tmp_path: Path, folder: Path) -> None:
    """What is done with a network of ours is done with any."""
    model = loaded("repvit_m0_9", "onnx", folder)
    fused = mobileone.reparameterize(model)
    assert (model.form, fused.form) == ("train-time", "inference")
    assert fused.num_params < model.num_params
    assert mobileone.verify(model, fused)
    x = images(1).numpy()
    same = [
        mobileone.load(saved(fused, tmp_path / f"a{suffix}")) for suffix in (".safetensors", ".npz")
    ]
    same += [pickle.loads(pickle.dumps(fused)), mobileone.load(saved(fused, tmp_path / "a.pth"))]
    for other in same:
        np.testing.assert_array_equal(other(x), fused(x))
    assert [m.shape[2] for m in fused.features(x)] == [32, 16, 8]
    assert fused.compile((1, 3, SIZE, SIZE), backend="loops")(x).shape == (1, 10)
    assert mobileone.benchmark(fused, input_size=SIZE, runs=2, warmup=1)
    assert mobileone.profile(fused, input_size=SIZE, runs=2)
    fused.export_onnx(tmp_path / "again.onnx", input_size=SIZE)
    again = mobileone.load(tmp_path / "again.onnx")
    assert mobileone.verify(fused, again, input_size=SIZE)
    assert again.data_config == fused.data_config


def saved(model: mobileone.Model, path: Path) -> Path:
    model.save(path)
    return path
