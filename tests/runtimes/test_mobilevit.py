"""MobileViT in every rival's format: the same logits, at sizes that fit the patches and others."""

from __future__ import annotations

import os
from pathlib import Path

import mobileone
import pytest
from cases import SMALL_MOBILEVIT

from benchmarks.runtimes.case import write_case
from benchmarks.runtimes.formats.ncnn_file import write_ncnn
from benchmarks.runtimes.formats.network import read_network, write_network
from benchmarks.runtimes.registry import ENGINES, OURS, find_engine

from .support import by_name, run

RIVALS = [
    e.name
    for e in ENGINES
    if e.name not in (OURS, "mobileone-plan", "torch-compile") and "float32" in e.dtypes
]


@pytest.mark.parametrize(("patch", "size", "batch"), [((2, 2), (33, 70), 1), ((3, 2), (40, 64), 2)])
def test_every_engine_computes_the_same(
    patch: tuple[int, int], size: tuple[int, int], batch: int, tmp_path: Path
) -> None:
    """The maps of the blocks are 5 x 9 and 3 x 5, resized and back; 5 x 8 and 3 x 4, which fits."""
    model = mobileone.create_model("mobilevit_custom", seed=6, patch=patch, **SMALL_MOBILEVIT)
    path = tmp_path / "small.safetensors"
    mobileone.reparameterize(model).save(path)
    result = run(write_case(os.fspath(path), batch, size, 0, tmp_path), [OURS, *RIVALS])
    for name in RIVALS:
        entry = by_name(result, name)
        if find_engine(name).version() is None:
            assert "is not installed" in str(entry.failure)
        elif name == "ncnn" and batch > 1:
            assert "ncnn has no batch dimension; batch is 2" in str(entry.failure)
        else:
            assert entry.failure is None, name
            assert entry.error is not None
            assert entry.error <= 1, name
            assert entry.rounds


def test_ncnn_has_square_patches_only(tmp_path: Path) -> None:
    model = mobileone.create_model(
        "mobilevit_custom", form="inference", patch=(2, 1), **SMALL_MOBILEVIT
    )
    write_network(model, (1, 3, 64, 64), tmp_path)
    with pytest.raises(NotImplementedError, match=r"patch is 2 x 1; ncnn needs a square"):
        write_ncnn(read_network(tmp_path), tmp_path / "x.param", tmp_path / "x.bin")


def test_the_size_is_the_networks_own_and_attention_counts(tmp_path: Path) -> None:
    """407.4 M multiply-adds: 329.2 M of convolutions and linear layers, 78.2 M of attention."""
    case = write_case("mobilevit_xxs", 2, None, 0, tmp_path)
    assert case.input_shape == (2, 3, 256, 256)
    assert round(case.macs / 2e6, 1) == 407.4
