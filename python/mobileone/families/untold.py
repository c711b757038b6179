"""The fields of a configuration that tensors do not tell: which ones, and what they may be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# Before a network is fused, its batch norms show how many branches it has.
_MOBILEVIT = ("heads", "patch", "expansion", "dropout", "ffn_dropout", "classifier_dropout")
UNTOLD: dict[tuple[str, str], tuple[str, ...]] = {
    ("mobileone", "train-time"): (),
    ("mobileone", "inference"): ("num_conv_branches",),
    # Of the expansion only its product with the channels shows, rounded to a multiple of 8.
    ("mobilevit", "train-time"): _MOBILEVIT,
    ("mobilevit", "inference"): _MOBILEVIT,
}
# Larger ones fit no network, and ask for any amount of memory.
_MAX_COUNT = 1024


def check_untold(field: str, value: object) -> str:
    """What the value of an untold field was expected to be; "" if it is that."""
    if field in ("heads", "num_conv_branches"):
        return "" if _is_count(value) else f"expected an integer from 1 to {_MAX_COUNT}"
    if field == "patch":
        pair = isinstance(value, list | tuple) and len(value) == 2 and all(map(_is_count, value))
        return "" if pair else f"expected two integers from 1 to {_MAX_COUNT}: height and width"
    number = type(value) in (int, float)
    if field == "expansion":
        return "" if number and 0 < value <= _MAX_COUNT else "expected a positive number"  # type: ignore[operator]
    return "" if number and 0 <= value < 1 else "expected a number from 0, below 1"  # type: ignore[operator]


def _is_count(value: object) -> bool:
    return type(value) is int and 1 <= value <= _MAX_COUNT


def with_given(config: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration with what the user says of it.

    Raises:
        ValueError: a field that the tensors tell, or a value that it cannot have.
    """
    architecture = config.get("architecture", "mobileone")
    untold = UNTOLD[architecture, config["form"]]
    for field, value in given.items():
        if field not in untold:
            known = ", ".join(untold) or "none"
            raise ValueError(
                f"config has {field!r}, which is read off the weights; what they do not tell of "
                f"a {architecture} in {config['form']} form: {known}"
            )
        problem = check_untold(field, value)
        if problem:
            raise ValueError(f"config[{field!r}] is {value!r}; {problem}")
    plain = {key: list(v) if isinstance(v, tuple) else v for key, v in given.items()}
    return {**config, **plain}
