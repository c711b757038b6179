"""A pickle reader that can build data and nothing else.

Python's own unpickler runs whatever callable a stream names, and can be restricted only from the
outside; it also lets a short stream ask for a huge memo or an exponentially nested key. This one
knows the opcodes that `torch.save` emits, looks globals up in a fixed table of inert stand-ins
(see `pickle_globals`), has a `Placeholder` for every other global and for what a stream makes of
it, never recurses, and charges every copy to a budget.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mobileone.checkpoint.containers.placeholder import Placeholder
from mobileone.util.errors import CheckpointError, shown

MAX_OPCODES = 4_000_000
# Integers longer than this occur in no checkpoint; big ones make conversions quadratic.
MAX_INT_BYTES = 64

_INT4 = struct.Struct("<i")
_UINT2 = struct.Struct("<H")
_UINT4 = struct.Struct("<I")
_UINT8 = struct.Struct("<Q")
_FLOAT8 = struct.Struct(">d")


class _Mark:
    """The stack's bracket."""


_MARK = _Mark()


@dataclass(frozen=True, slots=True)
class Function:
    """A callable that a stream may use: our own stand-in for the one it names.

    ``call`` gets the unpickler (for its budget and messages) and the arguments from the stream.
    """

    name: str
    call: Callable[[Unpickler, tuple[Any, ...]], object]


class Unpickler:
    """Reads pickles one after another from a buffer.

    Args:
        data: the stream.
        where: source name, for messages.
        find_global: module and name to an inert object: a `Placeholder` where it knows none.
        persistent_load: what a persistent id, already decoded, stands for.
    """

    def __init__(
        self,
        data: memoryview,
        where: str,
        find_global: Callable[[str, str], object],
        persistent_load: Callable[[object], object],
    ) -> None:
        self.where = where
        self.position = 0
        self._data = data
        self._find_global = find_global
        self._persistent_load = persistent_load
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}
        self._opcodes = 0
        self._budget = 65536 + 4 * len(data)

    def fail(self, problem: str) -> CheckpointError:
        """The error for a problem at the present position."""
        return CheckpointError(f"{self.where}: {problem} (pickle, near byte {self.position})")

    def charge(self, nbytes: int) -> None:
        """Accounts for memory that a stand-in allocates beyond the bytes of the stream."""
        self._budget -= nbytes
        if self._budget < 0:
            raise self.fail("the pickle copies its data more often than any checkpoint does")

    def load(self) -> object:
        """The next object of the stream; ``position`` is then after it."""
        self._stack = []
        self._memo = {}
        while True:
            opcode = self._byte()
            if opcode == 0x2E:  # STOP
                result = self._pop()
                if self._stack:
                    raise self.fail("the stack is not empty at the end")
                self._memo = {}
                return result
            self._opcodes += 1
            if self._opcodes > MAX_OPCODES:
                raise self.fail(f"more than {MAX_OPCODES} opcodes")
            handler = _HANDLERS.get(opcode)
            if handler is None:
                raise self.fail(f"opcode {bytes([opcode])!r} is not one that torch.save writes")
            handler(self)

    # The stream.

    def _take(self, count: int) -> memoryview:
        end = self.position + count
        if end > len(self._data):
            raise self.fail(f"truncated: {count} more bytes expected of {len(self._data)}")
        piece = self._data[self.position : end]
        self.position = end
        return piece

    def _byte(self) -> int:
        try:
            value = self._data[self.position]
        except IndexError:
            raise self.fail(f"truncated after {len(self._data)} bytes") from None
        self.position += 1
        return value

    def _uint(self, layout: struct.Struct) -> int:
        value: int = layout.unpack(self._take(layout.size))[0]
        return value

    def _line(self) -> str:
        end = self.position
        limit = min(len(self._data), end + 512)
        while end < limit and self._data[end] != 0x0A:
            end += 1
        if end == limit:
            raise self.fail("a global's name does not end")
        line = bytes(self._take(end - self.position))
        self._take(1)
        return self._text(line)

    def _text(self, raw: bytes | memoryview) -> str:
        try:
            return str(raw, "utf-8", "surrogatepass")
        except UnicodeDecodeError as error:
            raise self.fail("a string is not UTF-8") from error

    # The stack.

    def push(self, value: object) -> None:
        """Puts a value on the stack."""
        self._stack.append(value)

    def _pop(self) -> Any:
        if not self._stack or self._stack[-1] is _MARK:
            raise self.fail("the stack is empty")
        return self._stack.pop()

    def _top(self, kind: type[Any], what: str) -> Any:
        if not self._stack or type(self._stack[-1]) is not kind:
            raise self.fail(f"{what} is not a {kind.__name__}")
        return self._stack[-1]

    def _pop_to_mark(self) -> list[Any]:
        stack = self._stack
        for at in range(len(stack) - 1, -1, -1):
            if stack[at] is _MARK:
                items = stack[at + 1 :]
                del stack[at:]
                return items
        raise self.fail("no mark on the stack")

    def key(self, key: object) -> Any:
        """A dict or set key: an atom or a flat tuple of atoms, whose hash is cheap.

        A placeholder stands for a tuple of anything else, and for itself.
        """
        if type(key) is Placeholder:
            return key
        for atom in key if type(key) is tuple else (key,):
            wide = type(atom) is int and not -(2**63) <= atom < 2**64
            if type(atom) not in (str, int, float, bool, bytes, type(None)) or wide:
                if type(key) is tuple:
                    return Placeholder("a nested tuple")
                raise self.fail(f"a {type(atom).__name__} as a dict key")
        return key

    def integers(self, value: object, what: str) -> tuple[int, ...]:
        """A tuple or list of plain integers, as a tuple; anything else is refused."""
        if not isinstance(value, (tuple, list)) or any(type(n) is not int for n in value):
            raise self.fail(f"{what} is not a tuple of integers")
        return tuple(value)

    # Opcodes with some logic of their own.

    def _is_unknown(self) -> bool:
        return bool(self._stack) and type(self._stack[-1]) is Placeholder

    def _setitems(self, items: list[Any]) -> None:
        if len(items) % 2:
            raise self.fail("a dict key without a value")
        if self._is_unknown():
            return
        target = self._top(dict, "what gets items")
        for at in range(0, len(items), 2):
            target[self.key(items[at])] = items[at + 1]

    def _append(self, items: list[Any]) -> None:
        if not self._is_unknown():
            self._top(list, "what is appended to").extend(items)

    def _additems(self) -> None:
        items = self._pop_to_mark()
        if self._is_unknown():
            return
        self._top(set, "what is added to").update(self.key(item) for item in items)

    def _setitem(self) -> None:
        value = self._pop()
        self._setitems([self._pop(), value])

    def _tuple(self, count: int) -> None:
        self._stack.append(tuple([self._pop() for _ in range(count)][::-1]))

    def _long(self, count: int) -> None:
        if count > MAX_INT_BYTES:
            raise self.fail(f"an integer of {count} bytes")
        self._stack.append(int.from_bytes(self._take(count), "little", signed=True))

    def _put(self, index: int) -> None:
        if not self._stack or self._stack[-1] is _MARK:
            raise self.fail("nothing to memoize")
        self._memo[index] = self._stack[-1]

    def _get(self, index: int) -> None:
        if index not in self._memo:
            raise self.fail(f"memo entry {index} does not exist")
        self._stack.append(self._memo[index])

    def _global(self) -> None:
        module = self._line()
        self._stack.append(self._find_global(module, self._line()))

    def _stack_global(self) -> None:
        name, module = self._pop(), self._pop()
        if type(name) is not str or type(module) is not str:
            raise self.fail("a global's name is not a string")
        self._stack.append(self._find_global(module, name))

    def _reduce(self) -> None:
        arguments = self._pop()
        function = self._pop()
        if type(function) not in (Function, Placeholder) or type(arguments) is not tuple:
            raise self.fail(f"a call of a {shown(type(function).__name__)}")
        if type(function) is Placeholder:
            self._stack.append(function)
        elif any(type(argument) is Placeholder for argument in arguments):
            self._stack.append(Placeholder(function.name))  # what is made of the unknown is unknown
        else:
            self._stack.append(function.call(self, arguments))

    def _new_with_keywords(self) -> None:
        """NEWOBJ_EX: cls.__new__(cls, *args, **kwargs). No stand-in takes keywords."""
        keywords, arguments, function = self._pop(), self._pop(), self._pop()
        if type(function) not in (Function, Placeholder) or type(keywords) is not dict:
            raise self.fail(f"a call of a {shown(type(function).__name__)} with keywords")
        if type(arguments) is not tuple:
            raise self.fail("a call without a tuple of arguments")
        self._stack.append(
            function if type(function) is Placeholder else Placeholder(function.name)
        )

    def _build(self) -> None:
        state = self._pop()
        target = self._stack[-1] if self._stack else None
        # An OrderedDict carries nn.Module's `_metadata` as attribute; it says nothing of weights.
        if type(target) in (dict, Placeholder):
            return
        set_state = getattr(type(target), "set_state", None)
        if set_state is None:
            raise self.fail(f"state for a {shown(type(target).__name__)}")
        set_state(target, self, state)

    def _protocol(self) -> None:
        version = self._byte()
        if not 2 <= version <= 5:
            raise self.fail(f"pickle protocol {version}; expected 2 to 5")

    def _binary_string(self, count: int) -> None:
        # Python 2's str. Names are ASCII; bytes that are no UTF-8 are kept one by one.
        raw = bytes(self._take(count))
        try:
            self._stack.append(raw.decode())
        except UnicodeDecodeError:
            self._stack.append(raw.decode("latin-1"))

    def _persistent_id(self) -> None:
        self._stack.append(self._persistent_load(self._pop()))


_HANDLERS: dict[int, Callable[[Unpickler], object]] = {
    ord(opcode): handler
    for opcode, handler in {
        "\x80": Unpickler._protocol,
        "\x95": lambda u: u._take(8),  # FRAME: a hint for buffered files
        "(": lambda u: u.push(_MARK),
        "0": Unpickler._pop,
        "1": Unpickler._pop_to_mark,
        "N": lambda u: u.push(None),
        "\x88": lambda u: u.push(True),
        "\x89": lambda u: u.push(False),
        "J": lambda u: u.push(u._uint(_INT4)),
        "K": lambda u: u.push(u._byte()),
        "M": lambda u: u.push(u._uint(_UINT2)),
        "\x8a": lambda u: u._long(u._byte()),
        "\x8b": lambda u: u._long(u._uint(_UINT4)),
        "G": lambda u: u.push(_FLOAT8.unpack(u._take(8))[0]),
        "T": lambda u: u._binary_string(u._uint(_UINT4)),
        "U": lambda u: u._binary_string(u._byte()),
        "X": lambda u: u.push(u._text(u._take(u._uint(_UINT4)))),
        "\x8c": lambda u: u.push(u._text(u._take(u._byte()))),
        "\x8d": lambda u: u.push(u._text(u._take(u._uint(_UINT8)))),
        "B": lambda u: u.push(bytes(u._take(u._uint(_UINT4)))),
        "C": lambda u: u.push(bytes(u._take(u._byte()))),
        "\x8e": lambda u: u.push(bytes(u._take(u._uint(_UINT8)))),
        "\x96": lambda u: u.push(bytes(u._take(u._uint(_UINT8)))),  # BYTEARRAY8
        "]": lambda u: u.push([]),
        "a": lambda u: u._append([u._pop()]),
        "e": lambda u: u._append(u._pop_to_mark()),
        ")": lambda u: u.push(()),
        "t": lambda u: u.push(tuple(u._pop_to_mark())),
        "\x85": lambda u: u._tuple(1),
        "\x86": lambda u: u._tuple(2),
        "\x87": lambda u: u._tuple(3),
        "}": lambda u: u.push({}),
        "s": Unpickler._setitem,
        "u": lambda u: u._setitems(u._pop_to_mark()),
        "\x8f": lambda u: u.push(set()),
        "\x90": Unpickler._additems,
        "\x91": lambda u: u.push(frozenset([u.key(item) for item in u._pop_to_mark()])),
        "q": lambda u: u._put(u._byte()),
        "r": lambda u: u._put(u._uint(_UINT4)),
        "\x94": lambda u: u._put(len(u._memo)),
        "h": lambda u: u._get(u._byte()),
        "j": lambda u: u._get(u._uint(_UINT4)),
        "c": Unpickler._global,
        "\x93": Unpickler._stack_global,
        "R": Unpickler._reduce,
        "\x81": Unpickler._reduce,  # NEWOBJ: cls.__new__(cls, *args)
        "\x92": Unpickler._new_with_keywords,
        "b": Unpickler._build,
        "Q": Unpickler._persistent_id,
    }.items()
}
