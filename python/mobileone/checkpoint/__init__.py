"""Reading and writing checkpoints: any container and layout in, canonical NumPy weights out.

Imports neither torch nor anything else beyond NumPy, and runs no code of a file.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from mobileone.checkpoint.load import LoadedCheckpoint, StateDict, load_state_dict, read
from mobileone.checkpoint.report import LoadReport
from mobileone.families.layouts import LAYOUTS, find_layout, recognise
from mobileone.families.naming.renaming import from_canonical, to_canonical
from mobileone.families.naming.table import Layout
from mobileone.util.errors import CheckpointError

if TYPE_CHECKING:
    from mobileone.checkpoint.channels import with_input_reversed
    from mobileone.checkpoint.containers.safetensors_writer import save_safetensors

__all__ = [
    "LAYOUTS",
    "CheckpointError",
    "Layout",
    "LoadReport",
    "LoadedCheckpoint",
    "StateDict",
    "find_layout",
    "from_canonical",
    "load_state_dict",
    "read",
    "recognise",
    "save_safetensors",
    "to_canonical",
    "with_input_reversed",
]


# Reading needs nothing of what these import.
_HOMES = {
    "save_safetensors": "containers.safetensors_writer",
    "with_input_reversed": "channels",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'mobileone.checkpoint' has no attribute {name!r}")
    return getattr(import_module(f"mobileone.checkpoint.{home}"), name)
