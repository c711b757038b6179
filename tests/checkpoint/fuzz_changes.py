"""What the fuzzer does to a file's bytes."""

from __future__ import annotations

import random

from .fuzz_pickles import INTERESTING

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
