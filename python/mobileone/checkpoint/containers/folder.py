"""Folders, and weights in several files with an index, as save_pretrained writes them."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mobileone.util.errors import CheckpointError, listed, shown, shown_value

# What timm and transformers call the weights of a folder, the safer format first.
WEIGHTS = (
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
INDEX_SUFFIX = ".index.json"
_SUFFIXES = {".safetensors", ".npz", ".pth", ".pt", ".bin", ".tar", ".ckpt"}
# The key list of the largest network here takes 0.2 MB.
MAX_INDEX = 16 << 20
MAX_SHARDS = 1024
# A file beside the index: no folder, no drive, nothing hidden.
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,254}", re.ASCII)


def weights_of_folder(folder: str) -> str:
    """The path of a folder's weights, or of their index.

    Raises:
        CheckpointError: it holds none, or several files none of which has a usual name.
    """
    for name in WEIGHTS:
        if os.path.isfile(os.path.join(folder, name)):
            return os.path.join(folder, name)
    held = sorted(p.name for p in Path(folder).iterdir() if p.suffix in _SUFFIXES and p.is_file())
    if len(held) == 1:
        return os.path.join(folder, held[0])
    found = f"it holds {listed(map(shown, held))}: name one" if held else "it holds no weights"
    raise CheckpointError(
        f"{folder}: is a directory; expected one with {WEIGHTS[0]} or {WEIGHTS[2]}, or with one "
        f"checkpoint file; {found}"
    )


def read_index(data: memoryview, where: str) -> dict[str, list[str]]:
    """File name -> names of its tensors, from an index's ``weight_map``.

    Raises:
        CheckpointError: not such an index, or files that are not beside it.
    """
    if len(data) > MAX_INDEX:
        raise CheckpointError(f"{where}: an index of {len(data)} bytes; at most {MAX_INDEX}")
    try:
        index = json.loads(bytes(data).decode(), object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{where}: damaged index: {shown(str(error))}") from error
    weight_map = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(weight_map, dict) or not weight_map:
        raise CheckpointError(f"{where}: expected an index with a weight_map, tensor to file")
    files: dict[str, list[str]] = {}
    for name, file in weight_map.items():
        if not isinstance(file, str) or not _NAME.fullmatch(file):
            raise CheckpointError(
                f"{where}: {shown(name)} is in {shown_value(file)}; expected a file beside it"
            )
        files.setdefault(file, []).append(name)
    if len(files) > MAX_SHARDS:
        raise CheckpointError(f"{where}: {len(files)} files; at most {MAX_SHARDS} are expected")
    return files


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a key occurs twice")
    return result


def picked(tree: object, names: list[str], shard: str, where: str) -> Mapping[str, Any]:
    """The tensors of a shard that the index says are there.

    Raises:
        CheckpointError: one is missing, or others are there too.
    """
    held = tree if isinstance(tree, Mapping) else {}
    missing = [shown(name) for name in names if name not in held]
    more = [shown(name) for name in held.keys() - set(names)]
    if missing or more:
        what = f"lacks {listed(missing)}" if missing else f"also holds {listed(sorted(more))}"
        raise CheckpointError(f"{where}: {shard} {what}; expected what the index lists")
    return held
