"""Mutation fuzzing of the checkpoint readers.

    python -m tests.checkpoint.fuzz --mutations 100000 --seed 0 --kind npz

Takes valid files of every container, damages them, and loads them; of pickles every other one is
made up instead, out of opcodes, globals that the reader knows, and calls that must not happen.
Whatever happens, only a CheckpointError may escape (of a config.json also a NotImplementedError),
nothing may run, be opened for writing or started, and nothing may take long or much memory. A
failure prints the seed and the number of the mutation, which reproduce it: `--seed S --only N`,
with the same kind.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import datetime
import importlib
import io
import json
import os
import pkgutil
import random
import resource
import signal
import sys
import tempfile
import time
import warnings
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import mobileone.checkpoint
import mobileone.data
import mobileone.families
import mobileone.tasks
import numpy as np
import torch
from mobileone.checkpoint import CheckpointError, load_state_dict, save_safetensors
from mobileone.checkpoint.containers.archive_writer import save_npz, save_torch
from mobileone.checkpoint.open import open_bundle

from .fuzz_pickles import INTERESTING, made_up
from .mobilevit_networks import TINY as TINY_MOBILEVIT
from .networks import TINY, fused, renamed, tensor_shapes, tensors

KINDS = ("safetensors", "torch", "npz", "index", "pickle", "config")
SECONDS_EACH = 10
# To write a file over on a disk takes longer than most mutations take to load.
IN_MEMORY = "/dev/shm"
# Of Python's audit hooks: what loading a checkpoint has no use for.
FORBIDDEN = ("os.system", "os.exec", "os.posix_spawn", "os.fork", "subprocess.Popen", "exec",
             "compile", "import", "os.remove", "os.rename", "socket.", "pickle.", "ctypes.",
             "shutil.", "marshal.")  # fmt: skip
# Beyond what the process has after its first loads; the files have some 100 kB.
MEMORY_BOUND = 256 << 20

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
WORDS = (
    b"F32", b"BF16", b"I64", b"shape", b"dtype", b"data_offsets", b"__metadata__", b"null", b"-1",
    b"1e9", b"[", b"]", b"{", b"}", b'"', b"99999999999999999999", b"FloatStorage", b"HalfStorage",
    b"LongStorage", b"cos\nsystem\n", b"R", b"b", b"\x81", b"h\x00", b"(", b"t", b"\x85", b"Q",
    b"layer_3.1.global_rep.9", b"attention.attention.key", b"channel_order", b"RGB", b"heads",
    b".npy", b"\x93NUMPY", b"descr", b"<f4", b"|O", b"(3, 4)", b"True", b"weight_map",
    b"model-1.safetensors", b"../mutated", b"/etc/passwd", b"mobileone.json",
    b"id2label", b"model_args", b"pretrained_cfg", b"input_size", b"act_layer", b"output_stride",
    b"hidden_act", b"NaN", b"-Infinity", b"1e400", b"\\ud800", b"false", b"[[", b"{}", b"0.5",
    b"storage", b"stage1.0", b"stages.0.0", b"rbr_conv.9", b"reparam_conv", b"\xff\xff\xff\xff",
)  # fmt: skip


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


def mutate(data: bytes, others: list[bytes], rng: random.Random) -> bytes:
    """One to six changes; half of them near the start, where the structure of most files is."""
    buffer = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 6))):
        limit = len(buffer) if rng.random() < 0.5 else min(len(buffer), 6000)
        if not limit:
            break
        _change(buffer, rng.randrange(limit), others, rng)
    return bytes(buffer)


def _change(buffer: bytearray, at: int, others: list[bytes], rng: random.Random) -> None:
    length = rng.choice((1, 2, 4, 8, rng.randrange(1, 400)))
    kind = rng.randrange(9)
    if kind == 0:
        buffer[at] ^= 1 << rng.randrange(8)
    elif kind == 1:
        buffer[at] = rng.randrange(256)
    elif kind == 2:
        width = rng.choice((1, 2, 4, 8))
        value = rng.choice(INTERESTING) % 256**width
        buffer[at : at + width] = value.to_bytes(width, rng.choice(("little", "big")))
    elif kind == 3:
        del buffer[at : at + length]
    elif kind == 4:
        piece = bytes(buffer[at : at + length])
        buffer[at:at] = piece * rng.choice((1, 1, 2, 50))
    elif kind == 5:
        del buffer[rng.choice((at, len(buffer) - min(length, len(buffer)))) :]
    elif kind == 6:
        other = rng.choice(others)
        start = rng.randrange(len(other))
        buffer[at : at + rng.choice((0, length))] = other[start : start + length]
    elif kind == 7:
        word = rng.choice(WORDS)
        buffer[at : at + rng.choice((0, len(word)))] = word
    else:
        _change_number(buffer, at, rng)


def _change_number(buffer: bytearray, at: int, rng: random.Random) -> None:
    """Another value for the next decimal number: offsets and shapes of .safetensors, indices."""
    start = next((i for i in range(at, min(at + 300, len(buffer))) if 48 <= buffer[i] < 58), None)
    if start is not None:
        stop = start
        while stop < len(buffer) and 48 <= buffer[stop] < 58:
            stop += 1
        number = int(buffer[start:stop][:18]) + rng.choice((-1, 1, 4, 1000, -1000))
        buffer[start:stop] = str(rng.choice((number, rng.choice(INTERESTING)))).encode()


@contextlib.contextmanager
def _time_limit(seconds: int) -> Iterator[None]:
    """Of computing: machines may stand still."""

    def expire(*_: object) -> None:
        raise TimeoutError(f"more than {seconds} s")

    previous = signal.signal(signal.SIGPROF, expire)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, previous)


class _Watch:
    """Remembers what happened between `start` and `stop` that must not happen."""

    def __init__(self) -> None:
        self.on = False
        self.seen = ""
        sys.addaudithook(self._hear)  # for the rest of the process: hooks cannot be removed

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.on and not self.seen:
            writes = event == "open" and bool(set(str(arguments[1])) & set("wax+"))
            if writes or event.startswith(FORBIDDEN):
                self.seen = f"{event}{arguments!r:.200}"

    @contextlib.contextmanager
    def __call__(self) -> Iterator[None]:
        self.on = True
        try:
            yield
        finally:
            self.on = False
        assert not self.seen, f"loading caused {self.seen}"


_WATCH: list[_Watch] = []


def run(
    mutations: int,
    seed: int = 0,
    only: int | None = None,
    seconds: float = float("inf"),
    kind: str | None = None,
) -> Counter[str]:
    """Loads that many damaged files; what came of them, by the wording of the error.

    Args:
        mutations: how many.
        seed: of all.
        only: the number of the one to make.
        seconds: of computing, after which to stop.
        kind: one of `KINDS`, or None for all.

    Raises:
        AssertionError: an exception that is not one of those above, something that must not happen
            while loading, or memory beyond the bound.
    """
    for package in (mobileone.checkpoint, mobileone.data, mobileone.families, mobileone.tasks):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            importlib.import_module(module.name)  # what is imported on first use, at last
    watch = _WATCH[0] if _WATCH else _Watch()
    _WATCH[:] = [watch]
    outcomes: Counter[str] = Counter()
    stop = time.process_time() + seconds  # machines may be busy with something else
    in_memory = IN_MEMORY if os.access(IN_MEMORY, os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=in_memory) as folder:
        files = seed_files(Path(folder))
        everything = [file.data for file in files]
        for file in files:
            path = Path(folder) / file.name
            path.write_bytes(file.data)
            _load(file, path)
        files = [file for file in files if kind in (None, file.kind)]
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for number in range(mutations) if only is None else [only]:
            rng = random.Random(f"{seed} {number}")
            chosen = rng.choice(files)
            made = chosen.kind == "pickle" and number % 2
            path = Path(folder) / chosen.name
            path.write_bytes(made_up(rng) if made else mutate(chosen.data, everything, rng))
            try:
                with _time_limit(SECONDS_EACH), warnings.catch_warnings(), watch():
                    warnings.simplefilter("ignore")
                    _load(chosen, path, strict=bool(number % 3))
                outcomes["loaded"] += 1
            except _expected(chosen) as error:
                outcomes[_kind(str(error), str(path))] += 1
            except BaseException as error:
                raise AssertionError(f"seed {seed}, mutation {number}: {error!r}") from error
            if time.process_time() > stop:
                break
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    assert grown < MEMORY_BOUND, f"seed {seed}: memory grew by {grown >> 20} MB"
    return outcomes


def _expected(file: Seed) -> tuple[type[Exception], ...]:
    """What may be raised; a config.json may speak of a function that these networks have not."""
    return (CheckpointError, NotImplementedError) if file.kind == "config" else (CheckpointError,)


def _load(file: Seed, path: Path, *, strict: bool = True) -> None:
    """Of a config.json, the network that lies beside it."""
    if file.kind == "config":
        open_bundle(path.parent, strict=strict)
    else:
        load_state_dict(path, strict=strict)


def _kind(message: str, path: str) -> str:
    """The wording of a message without what varies in it."""
    message = message.replace(path, "FILE").split(" (pickle, near")[0]
    words = [w for w in message.split() if w.isalpha()]
    return " ".join(words[:6])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mutations", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kind", choices=KINDS, help="of the files; default: all")
    parser.add_argument("--only", type=int, help="run this one mutation, to reproduce a failure")
    arguments = parser.parse_args()
    start = time.monotonic()
    outcomes = run(arguments.mutations, arguments.seed, arguments.only, kind=arguments.kind)
    for kind, count in outcomes.most_common(25):
        print(f"{count:8}  {kind}")
    print(
        f"{outcomes.total()} mutations, {len(outcomes)} outcomes, {time.monotonic() - start:.0f} s"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
