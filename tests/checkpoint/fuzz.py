"""Mutation fuzzing of the checkpoint readers.

    python -m tests.checkpoint.fuzz --mutations 100000 --seed 0

Takes valid files of every container, damages them, and loads them; every fourth time it makes up a
pickle instead, out of the opcodes and globals that the reader knows. Whatever happens, only a
CheckpointError may escape, and nothing may take long or much memory. A failure prints the seed and
the number of the mutation, which reproduce it: `--seed S --only N`.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import resource
import signal
import sys
import tempfile
import time
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import torch
from mobileone.checkpoint import CheckpointError, load_state_dict, save_safetensors

from .fuzz_pickles import INTERESTING, made_up
from .mobilevit_networks import TINY as TINY_MOBILEVIT
from .networks import TINY, fused, renamed, tensor_shapes, tensors

SECONDS_EACH = 10
# Beyond what the process has after its first loads; the files have some 100 kB.
MEMORY_BOUND = 256 << 20

# Small enough that a mutation often hits structure rather than weights.
SMALL = TINY | {
    "stem_width": 2, "widths": [2, 3], "depths": [1, 1], "num_conv_branches": 1, "num_classes": 2,
    "in_channels": 1, "se_widths": {"stage2.1": 1},
}  # fmt: skip
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
    b"storage", b"stage1.0", b"stages.0.0", b"rbr_conv.9", b"reparam_conv", b"\xff\xff\xff\xff",
)  # fmt: skip


def seed_files(folder: Path) -> list[bytes]:
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
    files = []
    for i, (state, config) in enumerate(states):
        path = folder / "seed"
        own = {"format": "mobileone", "channel_order": "RGB", "config": json.dumps(config)}
        save_safetensors(path, state, own if config else {})
        files.append(path.read_bytes())
        held = {name: torch.from_numpy(array) for name, array in state.items()}
        if i == 2:
            held = {k: v.bfloat16() if v.is_floating_point() else v for k, v in held.items()}
        wrapped = {"state_dict": held, "epoch": 1, "args": argparse.Namespace(lr=0.1)}
        for zipped in (True, False):
            torch.save(wrapped if i % 2 else held, path, _use_new_zipfile_serialization=zipped)
            files.append(path.read_bytes())
    torch.save({k: torch.from_numpy(v) for k, v in deploy.items()}, path)
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(folder / "packed", "w") as target:
        for info in source.infolist():
            target.writestr(info.filename, source.read(info), zipfile.ZIP_DEFLATED)
    files.append((folder / "packed").read_bytes())
    return files


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
    def expire(*_: object) -> None:
        raise TimeoutError(f"more than {seconds} s")

    previous = signal.signal(signal.SIGALRM, expire)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, previous)


def run(
    mutations: int, seed: int = 0, only: int | None = None, seconds: float = float("inf")
) -> Counter[str]:
    """Loads that many damaged files; what came of them, by kind.

    Raises:
        AssertionError: an exception that is not a CheckpointError, or memory beyond the bound.
    """
    outcomes: Counter[str] = Counter()
    stop = time.monotonic() + seconds
    with tempfile.TemporaryDirectory() as folder:
        files = seed_files(Path(folder))
        path = Path(folder) / "mutated"
        for data in files:
            path.write_bytes(data)
            load_state_dict(path)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for number in range(mutations) if only is None else [only]:
            rng = random.Random(f"{seed} {number}")
            data = mutate(rng.choice(files), files, rng) if number % 4 else made_up(rng)
            path.write_bytes(data)
            try:
                with _time_limit(SECONDS_EACH):
                    load_state_dict(path)
                outcomes["loaded"] += 1
            except CheckpointError as error:
                outcomes[_kind(str(error), str(path))] += 1
            except BaseException as error:
                raise AssertionError(f"seed {seed}, mutation {number}: {error!r}") from error
            if time.monotonic() > stop:
                break
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    assert grown < MEMORY_BOUND, f"seed {seed}: memory grew by {grown >> 20} MB"
    return outcomes


def _kind(message: str, path: str) -> str:
    """The wording of a message without what varies in it."""
    message = message.replace(path, "FILE").split(" (pickle, near")[0]
    words = [w for w in message.split() if w.isalpha()]
    return " ".join(words[:6])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mutations", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, help="run this one mutation, to reproduce a failure")
    arguments = parser.parse_args()
    start = time.monotonic()
    outcomes = run(arguments.mutations, arguments.seed, arguments.only)
    for kind, count in outcomes.most_common(25):
        print(f"{count:8}  {kind}")
    print(
        f"{outcomes.total()} mutations, {len(outcomes)} outcomes, {time.monotonic() - start:.0f} s"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
