"""Training files, modules, and what no checkpoint is: each by its name."""

from __future__ import annotations

import sys
import types
import zipfile
from pathlib import Path

import mobileone
import numpy as np
import pytest
import torch
from mobileone.checkpoint import (
    CheckpointError,
    read,
    save_safetensors,
)

from .networks import TINY, module_of, renamed
from .tiny import STATE, TENSORS, check_same, load


def test_a_module_by_its_class(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = module_of(TENSORS)
    for zipped in (True, False):
        path = tmp_path / "x.pt"
        torch.save({"model": module, "epoch": 1}, path, _use_new_zipfile_serialization=zipped)
        advice = r"model is a torch\.nn\.modules\.module\.Module, .*torch\.load\(.*\)\['model'\]"
        with pytest.raises(CheckpointError, match=advice):
            load(path)
        held = torch.load(path, weights_only=False)
        check_same(load(held))
        torch.save(module, path, _use_new_zipfile_serialization=zipped)
        with pytest.raises(CheckpointError, match=r"holds a torch\.nn\.modules\.module\.Module"):
            load(path)
    for tree in ({"model": None, "ema": module}, {"ema": module, "model": STATE}):
        loaded = load(tree)
        check_same(loaded)
        assert (loaded.report.wrapper, loaded.report.averaged) == ("ema", True)


def test_what_mmengine_writes_while_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "mmengine.logging.history_buffer"
    for part in ("mmengine", "mmengine.logging", name):
        monkeypatch.setitem(sys.modules, part, types.ModuleType(part))

    class HistoryBuffer:  # stands for mmengine's: pickled by name, with arrays as state
        def __init__(self) -> None:
            self._log_history = np.arange(3.0)

    HistoryBuffer.__module__, HistoryBuffer.__qualname__ = name, "HistoryBuffer"
    monkeypatch.setattr(sys.modules[name], "HistoryBuffer", HistoryBuffer, raising=False)
    own = renamed(STATE, TINY, "mmpretrain")
    tree = {
        "meta": {"epoch": 1, "experiment_name": "x"},
        "state_dict": {key: torch.from_numpy(array) for key, array in own.items()},
        "message_hub": {"log_scalars": {"loss": HistoryBuffer()}, "runtime_info": {"iter": 3}},
        "optimizer": {"state": {0: {"momentum_buffer": torch.zeros(3)}}},
    }
    torch.save(tree, tmp_path / "epoch_1.pth")
    loaded = load(tmp_path / "epoch_1.pth")
    check_same(loaded)
    assert loaded.report.wrapper == "state_dict"


def onnx_like(*fields: bytes) -> bytes:
    return b"\x08\x08" + b"".join(fields) + b"\0" * 100


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (onnx_like(b"\x12\x07pytorch"), "an ONNX file"),
        (onnx_like(b"\x3a\x10"), "an ONNX file"),
        (b"\x1c\0\0\0TFL3" + b"\0" * 50, "a TensorFlow Lite model"),
        (b"\x93NUMPY\x01\0", "a NumPy array"),
        (b"\x93M1PLAN\n", "a stored plan: mobileone.load_plan"),
        (b"GGUF\x03\0\0\0", "a GGUF file"),
        (b"<?xml version='1.0'?><net name='x'>", "an XML file, as OpenVINO"),
        (b"\xfd7zXZ\0", "an xz file"),
    ],
)
def test_other_files_are_called_by_name(data: bytes, name: str, tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match=f"this is {name}"):
        read(path)


@pytest.mark.parametrize(
    ("entry", "name"),
    [
        ("x/archive_format", r"a torch\.export archive \(\.pt2\)"),
        ("serialized_exported_program.json", r"a torch\.export archive"),
        ("model.weights.h5", "a Keras file"),
    ],
)
def test_other_archives_are_called_by_name(entry: str, name: str, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x", "w") as archive:
        archive.writestr(entry, "x")
    with pytest.raises(CheckpointError, match=f"this is {name}"):
        read(tmp_path / "x")


@pytest.mark.filterwarnings("ignore")
def test_altered_weights_are_called_by_name(tmp_path: Path) -> None:
    pruned = {f"{k}_orig" if k.endswith("conv.weight") else k: v for k, v in STATE.items()}
    pruned |= {f"{k}_mask": np.ones_like(v) for k, v in STATE.items() if k.endswith("conv.weight")}
    with pytest.raises(CheckpointError, match=r"pruned weights .*prune\.remove\(module, 'weight'"):
        load(pruned)
    with pytest.raises(CheckpointError, match="pruned weights"):
        load(pruned, strict=False)
    spectral = {f"{k}_orig" if k.endswith("conv.weight") else k: v for k, v in STATE.items()}
    spectral |= {f"{k}_u": v for k, v in STATE.items() if k.endswith("conv.weight")}
    for strict in (True, False):
        with pytest.raises(CheckpointError, match=r"remove_spectral_norm\(module\)"):
            load(spectral, strict=strict)
    adapted = {k.replace("conv.weight", "conv.base_layer.weight"): v for k, v in STATE.items()}
    with pytest.raises(CheckpointError, match=r"adapters .*merge_and_unload"):
        load(adapted)
    normed = {k.replace("conv.weight", "conv.weight_g"): v for k, v in STATE.items()}
    normed |= {f"{k}_v": v for k, v in STATE.items() if k.endswith("conv.weight")}
    with pytest.raises(CheckpointError, match="weight-normalised weights"):
        load(normed)
    named = "conv.parametrizations.weight.original"
    parametrized = {k.replace("conv.weight", named): v for k, v in STATE.items()}
    with pytest.raises(CheckpointError, match="parametrized weights"):
        load(parametrized)
    linear = torch.nn.Sequential(torch.nn.Linear(4, 4))
    quantized = torch.ao.quantization.quantize_dynamic(linear, {torch.nn.Linear})
    torch.save(quantized.state_dict(), tmp_path / "x.pth")
    with pytest.raises(CheckpointError, match="quantized weights"):
        load(tmp_path / "x.pth")
    # Beside a network that is whole they do no harm.
    assert load(STATE | {"decoder.w_orig": np.ones(1), "decoder.w_mask": np.ones(1)}, strict=False)


# Strings that are no files.


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("mobileone_s0", "mobileone_s0: no such file; it is a variant's name. Expected a file of"),
        ("mobilevit_xxs", "it is a variant's name"),
        ("timm/mobileone_s0.apple_in1k/x", "No such file"),
        ("apple/mobilevit-small", "a repository is hf-hub:apple/mobilevit-small"),
        ("weights/model.pth", "No such file"),
        ("mobileone_s9", "No such file"),
    ],
)
def test_a_name_of_something_else_than_a_file(
    source: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match=said):
        mobileone.load(source)
    # Where there is a file of that name, it is that file.
    (tmp_path / source).parent.mkdir(parents=True, exist_ok=True)
    save_safetensors(source, STATE)
    assert mobileone.load(source, strict=False).num_classes == TINY["num_classes"]
