"""What a pickle names and this reader does not know: kept as a name, never looked up or run."""

from __future__ import annotations

_MAX_NAME = 200


class Placeholder:
    """Stands for an object that no weight is made of: a date, a path, a log, a module's class.

    Calling it, as a stream may, gives the same placeholder; state and items given to it are
    dropped. So nothing of it runs, and it costs no memory beyond its name. It is refused only
    where a tensor is needed and this stands in its place.

    Attributes:
        name: the global that the stream names, e.g. "pathlib.PosixPath".
    """

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name[:_MAX_NAME]

    def __repr__(self) -> str:
        return f"Placeholder({self.name!r})"
