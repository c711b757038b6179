"""Finding the weights inside a checkpoint: which of its dicts holds them, averaged or not."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple, get_args

from mobileone.checkpoint.sources import is_module, is_tensor, kind_of
from mobileone.util.errors import CheckpointError, listed, shown

Weights = Literal["auto", "ema", "model"]

# The usual names, in the order in which timm's reader prefers them; any other name will do.
_EMA = ("state_dict_ema", "model_ema", "ema_state_dict")
_PLAIN = ("state_dict", "model")
# Words in the name of a wrapper or a prefix that say that its weights are averaged.
_AVERAGED = {"ema", "swa", "averaged"}
# What averaging keeps beside the weights: a step counter.
_COUNTERS = ("n_averaged", "steps")
_MAX_NESTING = 4
# Parts of a module that are wrapped where they stand.
_WRAPPED = re.compile(r"\.(?:(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.)+")


class Selection(NamedTuple):
    """The dict that holds the weights.

    Attributes:
        state: tensors by key.
        path: where it was found, e.g. "state_dict_ema"; "" for the file itself.
        averaged: whether these are averaged (EMA) weights; None where the file does not say.
        others: weights that the file holds besides, e.g. ("state_dict",).
        skipped: what else is in the dict, by key: no tensors, and not needed.
        module: the torch.nn.Module that stood there in the dict's place.
    """

    state: dict[str, Any]
    path: str
    averaged: bool | None
    others: tuple[str, ...]
    skipped: dict[str, str]
    module: Any = None


class _Found(NamedTuple):
    """A dict of tensors, or a module, inside a checkpoint."""

    path: tuple[str, ...]
    state: Any
    keys: list[str]


def select_weights(tree: object, source: str, weights: Weights = "auto") -> Selection:
    """The state dict in a checkpoint's tree: any mapping or module in it that holds tensors.

    Of several, those that hold a known network, or as much of it as any; of these the averaged
    ones if there are any and ``weights`` is "auto", as in timm.

    Args:
        tree: what the container holds.
        source: its name, for messages.
        weights: "ema" or "model" where a file holds both averaged and plain weights.

    Raises:
        ValueError: ``weights`` is none of the three.
        CheckpointError: no dict of tensors, or not the weights that were asked for.
    """
    if weights not in get_args(Weights):
        raise ValueError(f"weights={weights!r}; expected one of {', '.join(get_args(Weights))}")
    if not isinstance(tree, Mapping) and not is_module(tree):
        raise CheckpointError(f"{source}: {_what_it_holds(tree)}")
    choices = _likeliest(list(_state_dicts(tree)))
    if not choices:
        raise _no_tensors(tree, source)
    averaged = {found.path: _is_averaged(found.path) for found in choices}
    _unswap(choices, averaged)
    chosen = _choose(choices, averaged, weights, source)
    path = ".".join(chosen.path)
    others = tuple(".".join(found.path) for found in choices if found is not chosen)
    kind = averaged[chosen.path] if path else None
    if is_module(chosen.state):
        return Selection({}, path, kind, others, {}, chosen.state)
    state, skipped = _split(chosen.state)
    if weights == "ema" and kind is not True and not any(map(says_averaged, state)):
        held = path or "one state dict"
        raise CheckpointError(f"{source}: weights='ema' asked for, but it holds {held} only")
    return Selection(state, path, kind, others, skipped)


def unwrapped(state: dict[str, Any]) -> dict[str, Any]:
    """Without what torch.compile and FSDP put into the names of the parts that they wrap; what is
    before all names stays, as a prefix.
    """
    if not any("._" in key for key in state):
        return state
    whole = max(os.path.commonprefix(list(state)).rfind("."), 0)  # noqa: RUF071 - by characters
    named = {key[:whole] + _WRAPPED.sub(".", key[whole:]): state[key] for key in state}
    return named if len(named) == len(state) else state


def says_averaged(name: str) -> bool:
    """Whether a name of a wrapper, or the beginning of a key, speaks of averaged weights."""
    words = re.split(r"[^a-z0-9]+", name[:200].lower())
    return any(word in _AVERAGED for word in words)


def _is_averaged(path: tuple[str, ...]) -> bool:
    return any(name in _EMA or says_averaged(name) for name in path)


def _state_dicts(tree: object) -> Iterator[_Found]:
    """Every dict that holds tensors by name, and every module, from the outside in."""
    level: list[tuple[tuple[str, ...], Any]] = [((), tree)]
    seen: set[int] = set()  # a pickle may hold one dict under many names
    for depth in range(_MAX_NESTING + 1):
        inside = []
        for path, node in level:
            if id(node) in seen:
                continue
            seen.add(id(node))
            if is_module(node):
                yield _Found(path, node, list(node.state_dict()))
                continue
            keys = [k for k, v in node.items() if isinstance(k, str) and is_tensor(v)]
            if len(keys) > sum(key in _COUNTERS for key in keys):
                yield _Found(path, node, keys)
            if depth < _MAX_NESTING:
                inside += [
                    ((*path, key), value)
                    for key, value in node.items()
                    if isinstance(key, str) and (isinstance(value, Mapping) or is_module(value))
                ]
        level = inside


def _likeliest(found: list[_Found]) -> list[_Found]:
    """Those that hold as much of a known network as any, or nearly; without one, the largest."""
    if len(found) < 2:
        return found
    from mobileone.families.layouts import count_by_prefix

    score = {state.path: sum(count_by_prefix(state.keys).values()) for state in found}
    if not any(score.values()):
        usual = [state for state in found if state.path and state.path[-1] in _EMA + _PLAIN]
        score = {state.path: len(state.keys) for state in usual or found}
    most = max(score.values())
    return [state for state in found if 2 * score.get(state.path, 0) > most]


def _unswap(choices: list[_Found], averaged: dict[tuple[str, ...], bool]) -> None:
    # mmengine's EMA hook swaps on saving: `state_dict` is averaged, `ema_state_dict` is not.
    by_path = {found.path: found for found in choices}
    swapped = by_path.get(("ema_state_dict",))
    if swapped is not None and ("state_dict",) in by_path and "steps" in swapped.state:
        averaged[("state_dict",)], averaged[("ema_state_dict",)] = True, False


def _choose(
    choices: list[_Found],
    averaged: dict[tuple[str, ...], bool],
    weights: Weights,
    source: str,
) -> _Found:
    usual = {name: i for i, name in enumerate(_EMA + _PLAIN)}

    def rank(found: _Found) -> tuple[bool, bool, int]:
        names = [usual[name] for name in found.path if name in usual]
        teacher = "teacher" in found.path
        return not averaged[found.path], teacher, min(names, default=len(usual))

    for found in sorted(choices, key=rank):
        # A dict by itself does not say; its keys may.
        if weights == "auto" or not found.path or averaged[found.path] == (weights == "ema"):
            return found
    held = ", ".join(".".join(found.path) for found in choices)
    raise CheckpointError(f"{source}: weights={weights!r} asked for, but it holds {held} only")


def _split(state: Mapping[Any, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """The tensors of a dict, and what the rest is."""
    tensors = {}
    skipped = {}
    for key, value in state.items():
        if isinstance(key, str) and is_tensor(value):
            if key not in _COUNTERS:
                tensors[key] = value
        else:
            skipped[key if isinstance(key, str) else shown(kind_of(key))] = kind_of(value)
    return tensors, skipped


def _what_it_holds(tree: object) -> str:
    return (
        f"holds a {shown(kind_of(tree))}, which is not made from a file; expected a dict of "
        f"tensors. {_save_the_weights('torch.load(path, weights_only=False)')}"
        if kind_of(tree) != type(tree).__name__
        else f"holds a {shown(type(tree).__name__)}; expected a dict of tensors"
    )


def _save_the_weights(module: str) -> str:
    return (
        "Where it is a module and you trust the file: "
        f"torch.save({module}.state_dict(), 'weights.pth') in the program that wrote it"
    )


def _no_tensors(tree: Any, source: str) -> CheckpointError:
    if not tree:
        return CheckpointError(f"{source}: an empty dict; expected tensors by name")
    held = listed(f"{shown(key)} ({shown(kind_of(value))})" for key, value in tree.items())
    for key, value in tree.items():
        if key in _EMA + _PLAIN and kind_of(value) != type(value).__name__:
            loaded = f"torch.load(path, weights_only=False)[{key!r}]"
            return CheckpointError(
                f"{source}: {key} is a {shown(kind_of(value))}, which is not made from a file; "
                f"expected tensors by name. {_save_the_weights(loaded)}"
            )
    return CheckpointError(
        f"{source}: no tensors, only {held}; expected a state dict, or one under any key, such as "
        f"{', '.join(_EMA + _PLAIN)}"
    )
