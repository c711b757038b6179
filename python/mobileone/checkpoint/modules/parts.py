"""The modules in a module."""

from __future__ import annotations

from typing import Any

__all__ = ["parts_of"]


def parts_of(module: Any) -> list[Any]:
    """The module and all in it, each once, a part before what is in it.

    `modules()` makes their names, which takes longer.
    """
    found = {id(module): module}
    waiting = [module]
    while waiting:
        for child in waiting.pop()._modules.values():
            if child is not None and id(child) not in found:
                found[id(child)] = child
                waiting.append(child)
    return list(found.values())
