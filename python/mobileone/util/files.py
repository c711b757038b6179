"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO

__all__ = ["whole_file"]


@contextmanager
def whole_file(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """A new binary file that gets its name, and replaces what had it, when the block succeeds.

    Neither a full disk nor an interruption leaves half a file, and replacing a file that is still
    mapped is safe.
    """
    target = os.fsdecode(path)
    temporary = f"{target}.{secrets.token_hex(4)}.partial"
    try:
        with open(temporary, "xb") as file:
            yield file
        os.replace(temporary, target)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise
