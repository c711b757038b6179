"""What `load` was told of a network that is in memory already."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, get_args

from mobileone.checkpoint.wrappers import Weights
from mobileone.families import all_families
from mobileone.families.configuration import with_given
from mobileone.families.variants import family_of_variant
from mobileone.util.checks import plain
from mobileone.util.errors import CheckpointError

if TYPE_CHECKING:
    from mobileone.network.bundle import Bundle

__all__ = ["check_asked", "check_held"]


def check_asked(
    arch: str | None,
    num_classes: int | None,
    config: Mapping[str, Any] | None = None,
    head: str | None = None,
) -> None:
    """ValueError for what no network has, TypeError for what is of another kind."""
    if config is not None and not isinstance(config, Mapping):
        raise TypeError(f"config is a {type(config).__name__}; expected a mapping of fields")
    if head is not None and not isinstance(head, str):
        raise TypeError(f"head is a {type(head).__name__}; expected a classifier's name")
    if arch is not None and family_of_variant(arch) is None:
        known = ", ".join(name for family in all_families() for name in family.variants())
        raise ValueError(f"arch={arch!r}; expected one of {known}")
    classes = plain(num_classes)
    if classes is not None and (type(classes) is not int or classes < 0):
        raise ValueError(f"num_classes={num_classes!r}; expected at least 0, as an integer")


def check_held(
    bundle: Bundle,
    *,
    arch: str | None,
    num_classes: int | None,
    weights: Weights,
    sha256: str | None,
    config: Mapping[str, Any] | None,
    head: str | None,
) -> None:
    """Compare a bundle with arguments of `mobileone.load`, which a file would be compared with.

    Raises:
        CheckpointError: it is another network than the one asked for.
        ValueError: bad arguments.
    """
    check_asked(arch, num_classes, config, head)
    if weights not in get_args(Weights):
        raise ValueError(f"weights={weights!r}; expected one of {', '.join(get_args(Weights))}")
    if sha256 is not None:
        raise ValueError("sha256 is given, but source is a Model; only files have checksums")
    where = f"the given {bundle.name}"
    if head is not None:
        raise CheckpointError(f"{where}: head={head!r} asked for, but a Model has its classifier")
    if arch is not None and bundle.arch != arch:
        raise CheckpointError(f"{where}: is a {bundle.arch}; expected {arch}")
    if num_classes is not None and bundle.num_classes != num_classes:
        raise CheckpointError(f"{where}: has {bundle.num_classes} classes; expected {num_classes}")
    if weights == "ema":
        raise CheckpointError(f"{where}: weights='ema' asked for, but a Model holds one set")
    asked, family = with_given(bundle.config, config or {}), bundle.family
    for field in asked.keys() | bundle.config.keys() if config else ():
        held, wanted = bundle.config.get(field), asked.get(field)
        if field not in ("architecture", "form"):
            held, wanted = family.value(bundle.config, field), family.value(asked, field)
        if (list(held) if isinstance(held, tuple) else held) != wanted:
            raise CheckpointError(f"{where}: its {field} is {held}; expected {wanted}")
