"""Random programs for the unpickler, out of the opcodes and globals that it knows."""

from __future__ import annotations

import pickle
import random
import struct

from mobileone.checkpoint.containers.pickle_globals import GLOBALS
from mobileone.checkpoint.containers.pickle_numpy import NUMPY_GLOBALS
from mobileone.checkpoint.containers.torch_legacy import MAGIC_NUMBER, PROTOCOL_VERSION
from mobileone.checkpoint.containers.unpickler import _HANDLERS

INTERESTING = (
    0,
    1,
    2,
    0x7F,
    0x80,
    0xFF,
    0x7FFF,
    0xFFFF,
    2**31 - 1,
    2**31,
    2**32 - 1,
    2**63,
    2**64 - 1,
)
_GLOBALS = sorted({**GLOBALS, **NUMPY_GLOBALS})
# What this reader does not know: harmless objects, and calls that must not happen.
_UNKNOWN = (
    "os.system", "posix.system", "builtins.eval", "builtins.exec", "builtins.__import__",
    "builtins.open", "subprocess.Popen", "pathlib.PosixPath", "datetime.datetime",
    "torch.nn.modules.linear.Linear", "mmengine.logging.history_buffer.HistoryBuffer",
    "copyreg._reconstructor", "functools.partial", "builtins.getattr", "a.b",
)  # fmt: skip
PAYLOAD = "open('{0}', 'w')"
_OPCODES = bytes(sorted(_HANDLERS))
_NAMES = ("state_dict", "model", "linear.weight", "stage0.reparam_conv.weight", "w", "storage")


def made_up(rng: random.Random) -> bytes:
    """A legacy stream whose tree is a random program for the unpickler."""
    head = b"".join(pickle.dumps(part, 2) for part in (MAGIC_NUMBER, PROTOCOL_VERSION, {}))
    program = b"".join(_operation(rng) for _ in range(rng.randrange(1, 60)))
    names = rng.choice(([], ["0"], ["0", "1"]))
    storages = b"".join(struct.pack("<q", 12) + bytes(48) for _ in names)
    return head + b"\x80\x02(" + program + b"t." + pickle.dumps(names, 2) + storages


def _operation(rng: random.Random) -> bytes:
    """One step: mostly something that pushes values which later steps can use."""
    kind = rng.randrange(14)
    if kind > 11:
        return _unknown(rng)
    if kind < 2:
        module, _, name = rng.choice(_GLOBALS).rpartition(".")
        call = rng.choice((b"", b")R", _tuple(rng) + b"R", _tuple(rng) + b"R" + _tuple(rng) + b"b"))
        return f"c{module}\n{name}\n".encode() + call
    if kind == 2:
        return _storage(rng)
    if kind == 3:
        shape = _tuple(rng, numbers=True)
        return (
            b"ctorch._utils\n_rebuild_tensor_v2\n(" + _storage(rng) + b"K\x00" + shape
            + rng.choice((shape, _tuple(rng, numbers=True))) + b"\x89}tR"
        )  # fmt: skip
    if kind == 4:
        return _text(rng.choice(_NAMES)) + rng.choice((b"", _tuple(rng), b"]", b"}", b"N"))
    if kind < 7:
        return _tuple(rng, numbers=kind == 5)
    opcode = rng.choice(_OPCODES)
    argument = {0x58: 4, 0x54: 4, 0x42: 4, 0x4A: 4, 0x6A: 4, 0x72: 4, 0x8B: 4, 0x4D: 2, 0x47: 8}
    width = argument.get(opcode, 1 if opcode in b"KhqUC\x8a\x8c\x80" else 0)
    value = rng.choice((0, 0, 1, 2, 3, rng.choice(INTERESTING))) % 256**width if width else 0
    return bytes([opcode]) + value.to_bytes(width, "little")


def _unknown(rng: random.Random) -> bytes:
    """A global that is not known, called, given state and items."""
    module, _, name = rng.choice(_UNKNOWN).rpartition(".")
    told = rng.choice((b")", b"(" + _text(PAYLOAD) + b"t", _tuple(rng)))
    make = rng.choice((b"", told + b"R", told + b"\x81", told + b"}\x92"))
    then = (b"", b"", _tuple(rng) + b"b", b"(" + _text("w") + b"K\x01u", b"(K\x01e", b"K\x01a")
    return f"c{module}\n{name}\n".encode() + make + rng.choice(then)


def _text(text: str) -> bytes:
    return b"X" + struct.pack("<I", len(text)) + text.encode()


def _tuple(rng: random.Random, numbers: bool = False) -> bytes:
    atoms = [b"K\x00", b"K\x01", b"K\x02", b"K\x03", b"K\x0c", b"J\xff\xff\xff\xff"]
    if not numbers:
        atoms += [b"N", b"]", b"}", b")", b"\x88", _text("f4"), _text("latin1"), b"h\x00", b"h\x01"]
        atoms += [b"cos\nsystem\n", b"ca\nB\n)R"]
    return b"(" + b"".join(rng.choices(atoms, k=rng.randrange(8))) + b"t"


def _storage(rng: random.Random) -> bytes:
    kind = rng.choice(("FloatStorage", "HalfStorage", "LongStorage", "float32"))
    key, numel = rng.choice("012"), rng.choice((b"K\x0c", b"K\x06", b"K\x18", b"N"))
    view = rng.choice((b"N", b"N", b"(" + _text("v") + b"K\x01K\x02t"))
    return (
        b"(" + _text("storage") + f"ctorch\n{kind}\n".encode() + _text(key) + _text("cpu")
        + numel + view + b"tQ"
    )  # fmt: skip
