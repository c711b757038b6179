"""Files that appear whole or not at all."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, BinaryIO

__all__ = ["check_writable", "whole_file", "write_json"]

# Files of the system that stand for a stream, such as /dev/stdout, whatever they lead to.
_STREAMS = ("/dev/", "/proc/")


@contextmanager
def whole_file(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """A new binary file that gets its name, and replaces what had it, when the block succeeds.

    Neither a full disk nor an interruption leaves half a file, and replacing a file that is still
    mapped is safe. A symlink stays: what it leads to is replaced. The new file has the mode of the
    old one, and its owner where that is allowed. Files that killed writers left are removed.

    Raises:
        OSError: cannot be written, or is a directory, device, FIFO or socket.
    """
    target = os.path.realpath(os.fsdecode(path))
    old = _regular(target)
    _remove_leftovers(target)
    temporary, file = _create(target, old)
    try:
        with file:
            yield file
            file.flush()
            if old is not None:
                _dress(file.fileno(), old)
            os.fsync(file.fileno())
            os.replace(temporary, target)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise
    _sync_folder(target)


def write_json(path: str | os.PathLike[str], value: Any, indent: int | None = 1) -> None:
    """Write a value as JSON; as `whole_file` does, or into a device or FIFO if `path` is one."""
    text = json.dumps(value, indent=indent) + ("\n" if indent is not None else "")
    if _is_stream(path):
        with open(path, "wb") as file:
            file.write(text.encode())
    else:
        with whole_file(path) as file:
            file.write(text.encode())


def check_writable(path: str | os.PathLike[str]) -> None:
    """OSError unless a file can be made at `path`; nothing is changed. For before long work."""
    if _is_stream(path):
        return
    target = os.path.realpath(os.fsdecode(path))
    _regular(target)
    temporary, file = _create(target, None)
    file.close()
    os.unlink(temporary)


def _is_stream(path: str | os.PathLike[str]) -> bool:
    if os.path.abspath(os.fsdecode(path)).startswith(_STREAMS):
        return True
    with suppress(OSError):
        mode = os.stat(path).st_mode
        return stat.S_ISCHR(mode) or stat.S_ISFIFO(mode)
    return False


def _regular(target: str) -> os.stat_result | None:
    """What is at the place now, None if nothing; OSError if it is no regular file."""
    try:
        found = os.stat(target)
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, "is a directory; expected a file", target)
    if not stat.S_ISREG(found.st_mode):
        kinds = {stat.S_IFIFO: "FIFO", stat.S_IFSOCK: "socket"}
        kind = kinds.get(stat.S_IFMT(found.st_mode), "device")
        raise OSError(errno.EINVAL, f"is a {kind}; expected a regular file, or none", target)
    return found


def _create(target: str, old: os.stat_result | None) -> tuple[str, BinaryIO]:
    """A new file beside the target, locked for as long as it is open."""
    mode = 0o666 if old is None else stat.S_IMODE(old.st_mode) & 0o666
    while True:
        temporary = f"{target}.{secrets.token_hex(4)}.partial"
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        try:
            file = os.fdopen(os.open(temporary, flags, mode), "w+b")
        except OSError as error:  # about the name that was asked for
            raise OSError(error.errno, error.strerror, target) from None
        with suppress(OSError):  # a file system without locks
            fcntl.flock(file.fileno(), fcntl.LOCK_EX)
        # Another writer may have taken it for a leftover before it was locked.
        with suppress(FileNotFoundError):
            if os.path.samestat(os.stat(temporary), os.fstat(file.fileno())):
                return temporary, file
        file.close()


def _remove_leftovers(target: str) -> None:
    """Delete what writers of the same file left that are no more: nobody holds its lock."""
    folder, name = os.path.split(target)
    pattern = re.compile(re.escape(name) + r"\.[0-9a-f]{8}\.partial")
    with suppress(OSError):
        for entry in os.listdir(folder):
            if pattern.fullmatch(entry) is None:
                continue
            with suppress(OSError), open(os.path.join(folder, entry), "rb") as file:
                fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
                os.unlink(file.name)


def _dress(descriptor: int, old: os.stat_result) -> None:
    """Give a new file the owner, where allowed, and the mode of the old one."""
    now = os.fstat(descriptor)
    if (now.st_uid, now.st_gid) != (old.st_uid, old.st_gid):
        with suppress(OSError):
            os.fchown(descriptor, old.st_uid, old.st_gid)
    os.fchmod(descriptor, stat.S_IMODE(old.st_mode))


def _sync_folder(target: str) -> None:
    """Make the new name last through a power failure, where the file system can."""
    with suppress(OSError):
        descriptor = os.open(os.path.dirname(target), os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
