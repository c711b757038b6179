"""Images as a network takes them: what it expects of its input, and how that is made.

`DataConfig` resolves on first use: a compiled network that gets floating-point input needs none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mobileone.data.config import DataConfig

__all__ = ["DataConfig"]


def __getattr__(name: str) -> Any:
    if name != "DataConfig":
        raise AttributeError(f"module 'mobileone.data' has no attribute {name!r}")
    from mobileone.data.config import DataConfig

    return DataConfig
