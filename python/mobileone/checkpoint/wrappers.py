"""Finding the weights inside a checkpoint: wrapper dicts, averaged copies, key prefixes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, get_args

from mobileone.util.errors import CheckpointError, listed, shown

Weights = Literal["auto", "ema", "model"]

# In the order in which timm's reader prefers them.
_EMA = ("state_dict_ema", "model_ema", "ema_state_dict")
_PLAIN = ("state_dict", "model")
# Wrappers that put their name before every key of the module they hold.
_PREFIXES = ("module.", "_orig_mod.", "model.", "encoder.", "backbone.")
# What averaging keeps beside the weights: a step counter.
_COUNTERS = ("n_averaged", "steps")
_MAX_NESTING = 4


class Selection(NamedTuple):
    """The dict that holds the weights.

    Attributes:
        state: tensors by key, prefixes removed.
        path: where it was found, e.g. "state_dict_ema"; "" for the file itself.
        averaged: whether these are averaged (EMA) weights; None where the file does not say.
        others: weights that the file holds besides, e.g. ("state_dict",).
        prefixes: what was removed from the keys.
    """

    state: dict[str, Any]
    path: str
    averaged: bool | None
    others: tuple[str, ...]
    prefixes: tuple[str, ...]


def select_weights(tree: object, source: str, weights: Weights = "auto") -> Selection:
    """The state dict in a checkpoint's tree.

    Args:
        tree: what the container holds.
        source: its name, for messages.
        weights: "ema" or "model" where a file holds both averaged and plain weights; "auto" takes
            the averaged ones, as timm does.

    Raises:
        ValueError: ``weights`` is none of the three.
        CheckpointError: no dict of tensors, or not the weights that were asked for.
    """
    if weights not in get_args(Weights):
        raise ValueError(f"weights={weights!r}; expected one of {', '.join(get_args(Weights))}")
    path: list[str] = []
    averaged: bool | None = None
    others: list[str] = []
    while True:
        state = _as_mapping(tree, source, path)
        choices = _choices(state)
        if not choices or len(path) == _MAX_NESTING:
            break
        name = _choose(choices, weights, source)
        others += [other for other in choices if other != name]
        averaged = choices[name] if averaged is None else averaged
        path.append(name)
        tree = state[name]
    if weights == "ema" and averaged is not True:
        held = ", ".join(path) or "one state dict"
        raise CheckpointError(f"{source}: weights='ema' asked for, but it holds {held} only")
    found, prefixes = _strip(_tensors_only(state, source, path), source)
    return Selection(found, ".".join(path), averaged, tuple(others), prefixes)


def _as_mapping(tree: object, source: str, path: list[str]) -> Mapping[Any, Any]:
    if not isinstance(tree, Mapping):
        inside = f" under {'.'.join(path)}" if path else ""
        raise CheckpointError(
            f"{source}: holds a {shown(type(tree).__name__)}{inside}; expected a dict of tensors"
        )
    return tree


def _holds_tensors(state: Mapping[Any, Any]) -> bool:
    return any(hasattr(value, "shape") for value in state.values())


def _choices(state: Mapping[Any, Any]) -> dict[str, bool]:
    """The wrappers in a dict, EMA first, each with whether its weights are averaged."""
    held = {name: name in _EMA for name in _EMA + _PLAIN if isinstance(state.get(name), Mapping)}
    swapped = state.get("ema_state_dict")
    if isinstance(swapped, Mapping) and "steps" in swapped and "state_dict" in held:
        # mmengine's EMA hook swaps on saving: `state_dict` is averaged, `ema_state_dict` is not.
        held = {"state_dict": True, "ema_state_dict": False}
    return held


def _choose(choices: dict[str, bool], weights: Weights, source: str) -> str:
    for name, is_averaged in choices.items():
        if weights == "auto" or is_averaged == (weights == "ema"):
            return name
    raise CheckpointError(
        f"{source}: weights={weights!r} asked for, but it holds {', '.join(choices)} only"
    )


def _tensors_only(state: Mapping[Any, Any], source: str, path: list[str]) -> dict[str, Any]:
    state = {k: v for k, v in state.items() if k not in _COUNTERS}
    inside = f" under {'.'.join(path)}" if path else ""
    if not state:
        raise CheckpointError(f"{source}: an empty dict{inside}; expected tensors by name")
    if not _holds_tensors(state):
        held = listed(shown(key) for key in state)
        raise CheckpointError(
            f"{source}: no tensors{inside}, only {held}; expected a state dict, or one under "
            f"{', '.join(_EMA + _PLAIN)}"
        )
    for key, value in state.items():
        if not isinstance(key, str) or not hasattr(value, "shape"):
            raise CheckpointError(
                f"{source}: {shown(key)}{inside} is a {shown(type(value).__name__)}; "
                "expected every entry of a state dict to be a tensor with a name"
            )
    return state


def _strip(state: dict[str, Any], source: str) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Removes wrappers' prefixes while one is common to all keys."""
    prefixes: list[str] = []
    while len(prefixes) < _MAX_NESTING:
        prefix = next((p for p in _PREFIXES if all(key.startswith(p) for key in state)), None)
        if prefix is None:
            break
        state = {key[len(prefix) :]: value for key, value in state.items()}
        prefixes.append(prefix)
    return state, tuple(prefixes)
