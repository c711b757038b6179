"""Valid files that the fuzzer starts from: every container, in several layouts and precisions."""

from __future__ import annotations

import argparse
import collections
import datetime
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from mobileone.checkpoint import save_safetensors
from mobileone.checkpoint.containers.archive_writer import save_npz, save_torch

from .mobilevit_networks import TINY as TINY_MOBILEVIT
from .networks import TINY, fused, renamed, tensor_shapes, tensors

# Small enough that a mutation often hits structure rather than weights.
SMALL = TINY | {
    "stem_width": 2, "widths": [2, 3], "depths": [1, 1], "num_conv_branches": 1, "num_classes": 2,
    "in_channels": 1, "se_widths": {"stage2.1": 1},
}  # fmt: skip
SMALLEST = SMALL | {"widths": [3], "depths": [1], "se_widths": {}}
SMALL_MOBILEVIT = TINY_MOBILEVIT | {
    "stem_width": 2, "widths": [2, 2, 3], "depths": [1, 1, 1], "transformer_widths": [0, 0, 4],
    "ffn_widths": [0, 0, 3], "transformer_depths": [0, 0, 1], "expansion": 1.0, "head_width": 2,
    "num_classes": 2, "in_channels": 3,
}  # fmt: skip


DESCRIPTIONS: dict[str, dict[str, Any]] = {
    "timm": {
        "architecture": "mobileone_s0", "num_classes": 2, "num_features": 3, "global_pool": "avg",
        "model_args": {"act_layer": "silu", "output_stride": 4},
        "pretrained_cfg": {
            "tag": "a", "input_size": [1, 224, 224], "test_input_size": [1, 256, 256],
            "fixed_input_size": False, "interpolation": "bicubic", "crop_pct": 0.875,
            "crop_mode": "center", "mean": [0.5], "std": [0.25], "label_names": ["a", "b"],
            "first_conv": ["stem.conv_kxk.0.conv", "stem.conv_scale.conv"], "classifier": "head.fc",
        },
    },
    "transformers": {
        "model_type": "mobilevit", "architectures": ["MobileViTForImageClassification"],
        "num_attention_heads": 2, "patch_size": 2, "hidden_act": "silu", "image_size": [64, 96],
        "layer_norm_eps": 1e-05, "output_stride": 8, "hidden_dropout_prob": 0.1,
        "classifier_dropout_prob": 0.1, "hidden_sizes": [4], "id2label": {"0": "a", "1": "b"},
        "label2id": {"a": 0, "b": 1}, "qkv_bias": True, "mlp_ratio": 1.0,
    },
}  # fmt: skip


class Seed(NamedTuple):
    """A valid file."""

    kind: str
    name: str
    data: bytes


def seed_files(folder: Path) -> list[Seed]:
    """Valid files: every container, in several layouts and precisions."""
    train, deploy = tensors(tensor_shapes(SMALL)), tensors(tensor_shapes(fused(SMALL)))
    vit = tensors(tensor_shapes(SMALL_MOBILEVIT))
    vit_deploy = tensors(tensor_shapes(fused(SMALL_MOBILEVIT)))
    states = [
        (train, SMALL),
        (deploy, None),
        (renamed(train, SMALL, "timm"), None),
        (renamed(train, SMALL, "mmpretrain"), None),
        (renamed(vit, SMALL_MOBILEVIT, "transformers"), SMALL_MOBILEVIT),
        (renamed(vit_deploy, fused(SMALL_MOBILEVIT), "timm"), None),
    ]
    files: list[Seed] = []

    def add(kind: str, path: Path, name: str = "mutated") -> None:
        data = path.read_bytes()
        files.append(Seed(kind, name, data))
        if data.startswith(b"PK"):
            files.append(Seed(kind, name, without_checksums(data)))

    for i, (state, config) in enumerate(states):
        path = folder / "seed"
        own = {"format": "mobileone", "channel_order": "RGB", "config": json.dumps(config)}
        save_safetensors(path, state, own if config else {})
        add("safetensors", path)
        save_npz(path, state, own if config else {})
        add("npz", path)
        held = {name: torch.from_numpy(array) for name, array in state.items()}
        if i == 2:
            held = {k: v.bfloat16() if v.is_floating_point() else v for k, v in held.items()}
        wrapped = {"state_dict": held, "epoch": 1, "args": argparse.Namespace(lr=0.1)}
        for zipped in (True, False):
            torch.save(wrapped if i % 2 else held, path, _use_new_zipfile_serialization=zipped)
            add("torch", path)
    save_torch(path, train, {"format": "mobileone", "config": json.dumps(SMALL)})
    add("torch", path)
    _add_training_files(train, path, add)
    _add_shards(train, folder, add)
    for layout, config in (("timm", SMALLEST), ("transformers", fused(SMALL_MOBILEVIT))):
        state = renamed(tensors(tensor_shapes(config)), config, layout)
        _add_described(layout, state, folder / layout, add)
    torch.save({k: torch.from_numpy(v) for k, v in deploy.items()}, path)
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(folder / "packed", "w") as target:
        for info in source.infolist():
            target.writestr(info.filename, source.read(info), zipfile.ZIP_DEFLATED)
    add("torch", folder / "packed")
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **deploy)
    path.write_bytes(buffer.getvalue())
    add("npz", path)
    return files


def without_checksums(data: bytes) -> bytes:
    """A zip archive whose CRC-32s say that there are none, so that damage is not found by them."""
    buffer = bytearray(data)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for info in archive.infolist():
            buffer[info.header_offset + 14 : info.header_offset + 18] = bytes(4)
        at = archive.start_dir
    while buffer[at : at + 4] == b"PK\x01\x02":
        buffer[at + 16 : at + 20] = bytes(4)
        at += 46 + sum(int.from_bytes(buffer[at + i : at + i + 2], "little") for i in (28, 30, 32))
    return bytes(buffer)


def _add_training_files(state: dict[str, Any], path: Path, add: Callable[..., None]) -> None:
    """Weights beside objects of other programs, which become placeholders."""
    held = {f"model.{name}": torch.from_numpy(array) for name, array in state.items()}
    beside = {
        "hparams": argparse.Namespace(lr=0.1),
        "path": Path("/data"),
        "logs": collections.defaultdict(list, loss=[0.5]),
        "when": datetime.timedelta(1),
        "names": np.array(["a", "b"]),
        "module": torch.nn.Linear(2, 2),
        "optimizer": {"state": {0: {"exp_avg": torch.zeros(3)}}},
    }
    for zipped in (True, False):
        torch.save({"state_dict": held, **beside}, path, _use_new_zipfile_serialization=zipped)
        add("pickle", path)


def _add_shards(state: dict[str, Any], folder: Path, add: Callable[..., None]) -> None:
    """An index of two files, which stay beside it undamaged."""
    names = list(state)
    weight_map = {}
    for i, part in enumerate((names[::2], names[1::2])):
        save_safetensors(folder / f"model-{i}.safetensors", {name: state[name] for name in part})
        weight_map |= dict.fromkeys(part, f"model-{i}.safetensors")
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {"total_size": 1}, "weight_map": weight_map}))
    add("index", index, index.name)


def _add_described(
    layout: str, state: dict[str, Any], folder: Path, add: Callable[..., None]
) -> None:
    """A config.json, as programs of this layout write it; the weights beside it stay undamaged."""
    folder.mkdir()
    save_safetensors(folder / "model.safetensors", state)
    config = folder / "config.json"
    config.write_text(json.dumps(DESCRIPTIONS[layout], indent=1))
    add("config", config, f"{layout}/config.json")
