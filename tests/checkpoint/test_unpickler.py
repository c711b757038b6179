"""Pickles that ask for code, or for more memory and time than a checkpoint may."""

from __future__ import annotations

import collections
import datetime
import fractions
import os
import pickle
import re
import struct
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path, PurePosixPath

import numpy as np
import pytest
import torch
from mobileone.checkpoint import CheckpointError, load_state_dict, read
from mobileone.checkpoint.containers.file import read_file
from mobileone.checkpoint.containers.pickle_globals import GLOBALS, finder
from mobileone.checkpoint.containers.pickle_numpy import NUMPY_GLOBALS
from mobileone.checkpoint.containers.placeholder import Placeholder
from mobileone.checkpoint.containers.unpickler import Unpickler
from mobileone.checkpoint.sources import is_tensor
from mobileone.checkpoint.wrappers import select_weights


def load(stream: bytes) -> object:
    """What a pickle stands for, without any container."""

    def persistent_load(identity: object) -> object:
        raise CheckpointError(f"persistent id {identity!r}")

    return Unpickler(memoryview(stream), "x", finder(), persistent_load).load()


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def named(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()


class Evil:
    """Pickles as a call of any function."""

    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return self.call


PAYLOADS = [
    (Evil(os.system, "echo unsafe > {}"), r"posix\.system"),
    (Evil(eval, "open('{}', 'w')"), r"(__builtin__|builtins)\.eval"),
    (Evil(getattr, "x", "y"), r"(__builtin__|builtins)\.getattr"),
    (Evil(torch.load, "{}"), r"torch\.serialization\.load"),
    (Evil(np.load, "{}"), r"numpy.*\.load"),
    (torch.nn.Linear(1, 1), r"torch\.nn\.modules\.linear\.Linear"),
    (Path("x"), r"pathlib.*"),
]


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize(("payload", "name"), PAYLOADS)
def test_nothing_of_a_file_runs(payload: object, name: str, zipped: bool, tmp_path: Path) -> None:
    target, path = tmp_path / "unsafe", tmp_path / "x.pth"
    if isinstance(payload, Evil):
        function, arguments = payload.call
        payload = Evil(function, *(str(a).format(target) for a in arguments))
    weight = torch.ones(1)
    torch.save({"w": weight, "x": payload}, path, _use_new_zipfile_serialization=zipped)
    held = read(path)
    assert list(held.tensors) == ["w"]
    assert re.fullmatch(name, held.selection.skipped["x"])
    # Where a tensor is needed in its place, that is said.
    for tree in (
        payload,
        {"state_dict": payload},
        {"linear.weight": payload, "linear.bias": weight},
    ):
        torch.save(tree, path, _use_new_zipfile_serialization=zipped)
        with pytest.raises(CheckpointError, match=name):
            load_state_dict(path)
    assert not target.exists()


def test_a_class_by_itself_is_data(tmp_path: Path) -> None:
    torch.save({"x": np.dtype}, tmp_path / "x.pth")
    assert read_file(tmp_path / "x.pth").tree["x"] is NUMPY_GLOBALS["numpy.dtype"]


@pytest.mark.parametrize("protocol", range(2, 6))
def test_calls_are_placeholders_in_every_protocol(protocol: int) -> None:
    found = load(pickle.dumps([Evil(os.system, "true")], protocol))
    assert type(found[0]) is Placeholder
    assert found[0].name == "posix.system"


class Keywords:
    """Made with keywords, so that protocol 4 has an opcode of its own for it."""

    def __getnewargs_ex__(self) -> tuple[tuple[int], dict[str, int]]:
        return (1,), {"size": 3}


class Items(dict):  # type: ignore[type-arg]
    """A mapping of a class of its own."""


def plain(value: object) -> object:
    """With the names of placeholders in their place."""
    if type(value) is Placeholder:
        return value.name
    if type(value) is dict:
        return {plain(k): plain(v) for k, v in value.items()}
    return [plain(v) for v in value] if type(value) in (list, tuple) else value


@pytest.mark.parametrize("protocol", range(2, 6))
@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc), "datetime.datetime"),
        (PurePosixPath("/data"), "pathlib.PurePosixPath"),
        (range(3), r"range"),
        (fractions.Fraction(1, 3), "fractions.Fraction"),
        (collections.deque([1, 2], 3), "collections.deque"),
        (Keywords(), r"Keywords|functools.partial"),
        (Items(a=1), "Items"),
        (np.array(["cat", "dog"]), None),
        (np.array([None, 1]), None),
        (np.array([(1, 2.0)], "i4,f4"), None),
        (np.str_("cat"), "scalar"),
        (np.datetime64("2026"), "scalar"),
        (np.random.default_rng(0), "numpy.random"),
        (slice(1, 2), "slice"),
        (1j, "complex"),
        (bytearray(b"x"), None),
        (os.system, "posix.system"),
    ],
)
def test_harmless_objects(value: object, kind: str | None, protocol: int) -> None:
    tree = load(pickle.dumps({"before": 1, "x": value, (1, ("a", "b")): 2, "after": 2}, protocol))
    assert (tree["before"], tree["after"], len(tree)) == (1, 2, 4)
    assert not is_tensor(tree["x"])
    if kind is not None:
        assert re.search(kind, plain(tree["x"]))


def test_what_is_made_of_unknown_objects_is_unknown() -> None:
    unknown = named("os", "getcwd") + b")R"
    for function in ("collections.OrderedDict", "torch.Size", "torch._utils._rebuild_parameter"):
        made = load(b"\x80\x02" + named(*function.rsplit(".", 1)) + b"(" + unknown + b"K\x01NtR.")
        assert type(made) is Placeholder
    items = b"(X\x01\x00\x00\x00aK\x01u(K\x01e(K\x02\x90K\x03aX\x01\x00\x00\x00bK\x01s}b."
    assert load(b"\x80\x04" + unknown + items).name == "os.getcwd"


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("torch", "FloatStorage.__init__"),
        ("torch._utils", "_rebuild_tensor_v2.__globals__"),
        ("collections", "OrderedDict.fromkeys"),
        ("torch", ""),
        ("", "torch.Size"),
        ("torch.", "Size"),
        ("torch.storage", "_load_from_bytes"),
        ("torch._utils", "_rebuild_qtensor"),
        ("x" * 10_000, "y"),
        ("os\x1b[31m", "system"),
    ],
)
def test_no_way_around_the_table(module: str, name: str) -> None:
    found = load(b"\x80\x04" + text(module) + text(name) + b"\x93)R.")
    assert type(found) is Placeholder
    with pytest.raises(CheckpointError) as caught:
        select_weights(found, "x")
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 500


def test_every_global_is_inert_or_ours() -> None:
    # No entry of the tables is an object of torch, NumPy or Python that could be called.
    for name, value in {**GLOBALS, **NUMPY_GLOBALS}.items():
        assert type(value).__module__.startswith("mobileone.checkpoint."), name


def test_calls_and_state_need_our_objects() -> None:
    for stream in (
        text("x") + b")R.",  # call a string
        b"K\x01)\x81.",  # instantiate an integer
        named("torch", "FloatStorage") + b")R.",
        named("torch", "float32") + b")R.",
        named("torch", "Size") + b"}b.",  # state for a function
        text("x") + b"}b.",
        b"]}b.",
    ):
        with pytest.raises(CheckpointError):
            load(b"\x80\x02" + stream)


ARGUMENTS = [b")", b"(K\x01t", b"(NNNNNNt", b"(]]]]]]t", b"(}}}}}}}t", b"(]K\x01t", b"N", b"}"]


@pytest.mark.parametrize("name", sorted({**GLOBALS, **NUMPY_GLOBALS}))
def test_wrong_arguments_for_every_function(name: str) -> None:
    module, _, attribute = name.rpartition(".")
    for arguments in ARGUMENTS:
        for state in (b"", b"Nb", b"}b", b"(NNNNNtb"):
            with suppress(CheckpointError):
                load(b"\x80\x02" + named(module, attribute) + arguments + b"R" + state + b".")


@pytest.mark.parametrize(
    ("stream", "message"),
    [
        (b"", "truncated"),
        (b"\x80\x02", "truncated"),
        (b"\x80\x00.", "pickle protocol 0"),
        (b"\x80\x06.", "pickle protocol 6"),
        (b"\x80\x02.", "stack is empty"),
        (b"\x80\x02NN.", "not empty at the end"),
        (b"\x80\x02(.", "stack is empty"),
        (b"\x80\x020.", "stack is empty"),
        (b"\x80\x02t.", "no mark"),
        (b"\x80\x02h\x05.", "memo entry 5"),
        (b"\x80\x02j\xff\xff\xff\xff.", "memo entry 4294967295"),
        (b"\x80\x02q\x00.", "nothing to memoize"),
        (b"\x80\x02NK\x01s.", "not a dict"),
        (b"\x80\x02}]K\x01s.", "a list as a dict key"),
        (b"\x80\x02}}K\x01s.", "a dict as a dict key"),
        (b"\x80\x02}(K\x01u.", "key without a value"),
        (b"\x80\x02NNa.", "not a list"),
        (b"\x80\x02X\xff\xff\xff\xff", "truncated"),
        (b"\x80\x02B\xff\xff\xff\xff", "truncated"),
        (b"\x80\x04\x8e" + b"\xff" * 8, "truncated"),
        (b"\x80\x04\x8d" + b"\xff" * 7 + b"\x7f", "truncated"),
        (b"\x80\x05\x96" + b"\xff" * 8, "truncated"),
        (b"\x80\x05\x97.", "opcode"),
        (b"\x80\x02X\x01\x00\x00\x00\xff.", "not UTF-8"),
        (b"\x80\x02\x8b\xff\xff\xff\xff", "an integer of 4294967295 bytes"),
        (b"\x80\x02\x8a\xff" + b"\x01" * 255 + b".", "an integer of 255 bytes"),
        (b"\x80\x02I1\n.", "opcode b'I'"),
        (b"\x80\x02ios\nsystem\n.", "opcode b'i'"),
        (b"\x80\x02o.", "opcode b'o'"),
        (b"\x80\x02\x82\x01.", "opcode"),
        (b"\x80\x02c" + b"a" * 5000 + b"\n", "does not end"),
        (b"\x80\x02NQ.", "persistent id None"),
        (b"\x80\x04NN\x93.", "name is not a string"),
    ],
)
def test_damaged_streams(stream: bytes, message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        load(stream)


def nested_tuples(depth: int) -> bytes:
    # Each level is a pair of the level below: 2**depth leaves to whoever walks or hashes it.
    return b"\x80\x02)q\x00" + b"h\x00h\x00\x86q\x00" * depth


def many_copies(name: str, argument: bytes, count: int) -> bytes:
    """A large argument, memoized, then one call after another with it."""
    module, _, attribute = name.rpartition(".")
    encoding = text("latin1") if attribute == "encode" else b""
    call = b"h\x00(h\x01" + encoding + b"tR"
    start = b"\x80\x02" + named(module, attribute) + b"q\x00" + argument + b"q\x01]("
    return start + call * count + b"e."


PAIRS = b"](" + b"".join(b"K%cK\x01\x86" % (i % 256) for i in range(20_000)) + b"e"
BOMBS = {
    "nested tuples": nested_tuples(60) + b".",
    "nested tuples as key": nested_tuples(60) + b"}h\x00K\x01s.",
    "deep lists": b"\x80\x02" + b"]" * 300_000 + b"a" * 299_999 + b".",
    "deep tuples": b"\x80\x02)" + b"\x85" * 500_000 + b".",
    "deep namespaces": b"\x80\x02cargparse\nNamespace\nq\x00)\x81"
    + b"h\x00)\x81" * 200_000
    + b"b" * 200_000
    + b".",
    "many unknown names": b"\x80\x04]("
    + b"".join(text(f"{i:x}") + b"q\x00h\x00\x93" for i in range(100_000))
    + b"e.",
    "long unknown names": b"\x80\x04"
    + text("x" * 500_000)
    + b"q\x00]("
    + b"h\x00h\x00\x93" * 99_999
    + b"e.",
    "calls of the unknown": b"\x80\x02ca\nb\nq\x00ctorch\nSize\nq\x01]("
    + b"h\x01h\x00\x85R" * 200_000
    + b"e.",
    "deep sets and frozensets": b"\x80\x04(" * 2 + b"\x91" + b"\x91.",
    "a list in itself": b"\x80\x02]q\x00" + b"h\x00a" * 100_000 + b".",
    "huge memo index": b"\x80\x02Nr\xff\xff\xff\x7f.",
    "OrderedDict copies": many_copies("collections.OrderedDict", PAIRS, 20_000),
    "set copies": many_copies("__builtin__.set", b"](" + b"K\x01" * 200_000 + b"e", 20_000),
    "bytes copies": many_copies("_codecs.encode", text("x" * 500_000), 20_000),
    "colliding keys": b"\x80\x02}("
    + b"".join(
        b"\x8a\x10" + ((2**61 - 1) * i).to_bytes(16, "little") + b"N" for i in range(100_000)
    )
    + b"u.",
    "endless marks": b"\x80\x02" + b"(" * 5_000_000,
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_are_cheap(name: str, tmp_path: Path) -> None:
    # In a process of its own, whose memory is limited to a small multiple of the file's size.
    path = tmp_path / "x.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", BOMBS[name])
    script = (
        "import resource, sys; import mobileone.checkpoint as c; "
        "from mobileone.checkpoint.containers.file import read_file; import numpy; "
        "base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "try: read_file(sys.argv[1])\n"
        "except c.CheckpointError: pass\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - base)"
    )
    start = time.monotonic()
    result = subprocess.run(
        [sys.executable, "-c", script, str(path)], capture_output=True, check=True, timeout=60
    )
    # An empty list takes one byte of the stream and 56 + 8 bytes of memory; a tuple costs the like.
    grown = int(result.stdout) * 1024
    assert grown < 80 * len(BOMBS[name]) + (8 << 20)
    assert time.monotonic() - start < 30
