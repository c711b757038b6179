"""From a source to canonical float32 weights and the configuration they belong to."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from .containers import RawCheckpoint
from .errors import CheckpointError, Mismatch, Shape, listed, mismatch_error, shown, shown_value
from .expected import ParameterShapes, graph_parameter_shapes
from .layouts import LAYOUTS, Recognition, foreign_network, recognise
from .recover import compare, describe, recover_config, unrecognised_error
from .report import LoadReport
from .sources import leaf_array, read_source, shape_of
from .tensors import CopyBudget, to_count, to_float32
from .variants import variant_of, variants
from .wrappers import Selection, Weights, select_weights

# Half precision doubles on conversion, and compressed archives may hold 4 times their size.
_COPY_LIMIT = 8

Array = npt.NDArray[np.float32] | npt.NDArray[np.int64]


@dataclass(frozen=True)
class StateDict:
    """Tensors under the names the source gives them, and where they were found.

    Attributes:
        tensors: name -> tensor, as the source holds it: see `sources.leaf_array`.
        raw: the container.
        selection: which wrapper was taken, and what was removed from the keys.
    """

    tensors: Mapping[str, Any]
    raw: RawCheckpoint
    selection: Selection


@dataclass(frozen=True)
class LoadedCheckpoint:
    """Weights ready for the engine.

    Attributes:
        state: canonical name -> C-contiguous float32 array (int64 for `num_batches_tracked`), in
            the graph's order. Arrays may share memory with the source, and be read-only.
        config: see `recover_config`.
        layout: the dialect the source was written in.
        metadata: strings that came with the file.
        report: how the source was understood.
    """

    state: dict[str, Array]
    config: dict[str, Any]
    layout: str
    metadata: dict[str, str]
    report: LoadReport


def read(source: object, *, weights: Weights = "auto") -> StateDict:
    """The tensors of a source under its own names; nothing is converted or copied.

    Args:
        source: path, mapping of arrays by name, or torch.nn.Module.
        weights: "ema" or "model" where a file holds averaged and plain weights both; "auto" takes
            the averaged ones.

    Raises:
        CheckpointError: not a checkpoint.
        ValueError, TypeError: bad arguments.
    """
    raw = read_source(source)
    selection = select_weights(raw.tree, raw.source, weights)
    return StateDict(selection.state, raw, selection)


def load_state_dict(
    source: object,
    *,
    arch: str | None = None,
    num_classes: int | None = None,
    strict: bool = True,
    weights: Weights = "auto",
    parameter_shapes: ParameterShapes = graph_parameter_shapes,
) -> LoadedCheckpoint:
    """Weights under canonical names, checked one by one, and the configuration they imply.

    Args:
        source: path, mapping of arrays by name, or torch.nn.Module.
        arch: the variant that the source must hold, e.g. "mobileone_s0"; None takes any.
        num_classes: the number of classes it must have; None takes any.
        strict: False ignores tensors that the network does not have, and leaves out a classifier
            that is missing or of another number of classes than asked for.
        weights: see `read`.
        parameter_shapes: what tensors a configuration has; the engine's graph by default.

    Raises:
        CheckpointError: damaged, not a MobileOne, or not the one asked for.
        ValueError, TypeError: bad arguments.
    """
    if arch is not None and arch not in variants():
        raise ValueError(f"arch={arch!r}; expected one of {', '.join(variants())}")
    if num_classes is not None and num_classes < 1:
        raise ValueError(f"num_classes={num_classes}; expected at least 1")
    found = read(source, weights=weights)
    where = found.raw.source
    recognition = _recognise(found, where, strict)
    assert recognition.layout is not None  # _recognise raised otherwise
    layout = recognition.layout.name
    keys = _by_canonical_name(recognition, where)
    shapes = {name: shape_of(found.tensors[key]) for name, key in keys.items()}
    config = _config(shapes, where, found.raw.metadata)
    nearest = describe(layout, config)
    wanted = _wanted(config, arch, num_classes, strict)
    dropped = _unwanted_classifier(shapes, wanted, strict)
    for name in dropped:
        del shapes[name]
    expected = _expected(parameter_shapes, wanted, where, nearest)
    _check(shapes, expected, where, nearest, strict, keys, recognition, found.tensors)
    report = LoadReport(
        where,
        found.raw.format,
        found.selection.path,
        found.selection.averaged,
        found.selection.others,
        found.selection.prefixes,
        layout,
        missing=tuple(n for n in expected if n.startswith("linear.") and n not in shapes),
        ignored=(
            *recognition.unknown,
            *(k for n, k in keys.items() if n in dropped or n not in expected),
        ),
    )
    state, report = _convert(found, keys, shapes, expected, report)
    return LoadedCheckpoint(state, wanted, layout, dict(found.raw.metadata), report)


def _recognise(found: StateDict, where: str, strict: bool) -> Recognition:
    keys = list(found.tensors)
    recognition = recognise(keys)
    foreign = foreign_network(recognition.unknown)
    if foreign:
        raise unrecognised_error(where, recognition.unknown, f"this is {foreign}")
    if recognition.layout is None:
        names = ", ".join(dict.fromkeys(layout.name for layout in LAYOUTS))
        raise unrecognised_error(where, keys, f"no MobileOne in any known layout ({names})")
    if len(recognition.unknown) > len(recognition.names):
        nearest = f"the {recognition.layout.name} layout explains {len(recognition.names)} of them"
        raise unrecognised_error(
            where, recognition.unknown, f"no MobileOne: of {len(keys)} keys {nearest}"
        )
    if recognition.also and strict:
        others = ", ".join(sorted(set(recognition.also.values())))
        raise CheckpointError(
            f"{where}: mixes layouts: {len(recognition.names)} keys are of the "
            f"{recognition.layout.name} layout, {len(recognition.also)} of {others}: "
            f"{listed(f'{shown(k)} {shape_of(found.tensors[k])}' for k in recognition.also)}; "
            f"expected all keys in one layout"
        )
    return recognition


def _by_canonical_name(recognition: Recognition, where: str) -> dict[str, str]:
    keys: dict[str, str] = {}
    for key, name in recognition.names.items():
        if name in keys:
            raise CheckpointError(f"{where}: {shown(keys[name])} and {shown(key)} are one tensor")
        keys[name] = key
    return keys


def _config(shapes: Mapping[str, Shape], where: str, metadata: Mapping[str, str]) -> dict[str, Any]:
    """From the shapes, completed by the metadata of our own files where shapes do not tell."""
    config = recover_config(shapes, where)
    if metadata.get("format") != "mobileone" or "config" not in metadata:
        return config
    try:
        stored = json.loads(metadata["config"])
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{where}: damaged config in its metadata") from error
    untold = {"arch", "num_conv_branches"} if config["form"] == "inference" else {"arch"}
    told = [key for key in config if key not in untold]
    if type(stored) is not dict:
        raise CheckpointError(f"{where}: the config in its metadata is not an object")
    differ = [k for k in told if k in stored and stored[k] != config[k]]
    if differ:
        said = listed(f"{k} {shown_value(stored[k])}, found {config[k]}" for k in differ)
        raise CheckpointError(f"{where}: its metadata contradicts its tensors: {said}")
    branches = stored.get("num_conv_branches", config["num_conv_branches"])
    if type(branches) is not int or branches < 1:
        raise CheckpointError(f"{where}: num_conv_branches {shown_value(branches)} in its metadata")
    config["num_conv_branches"] = branches
    return config | {"arch": variant_of(config)}


def _wanted(
    config: dict[str, Any], arch: str | None, num_classes: int | None, strict: bool
) -> dict[str, Any]:
    """The configuration that the tensors are compared with: what was asked for, else as found."""
    wanted = dict(config)
    if arch is not None:
        wanted |= variants()[arch] | {"arch": arch}
    if num_classes is not None:
        wanted["num_classes"] = num_classes
    elif not config["num_classes"]:
        wanted["num_classes"] = 1000
    return wanted


def _expected(
    parameter_shapes: ParameterShapes, wanted: Mapping[str, Any], where: str, nearest: str
) -> Mapping[str, Shape]:
    try:
        return parameter_shapes(wanted)
    except ValueError as error:
        raise CheckpointError(f"{where}: nearest is {nearest}, which cannot be: {error}") from error


def _unwanted_classifier(
    shapes: Mapping[str, Shape], wanted: Mapping[str, Any], strict: bool
) -> tuple[str, ...]:
    classifier = shapes.get("linear.weight")
    if strict or classifier is None or classifier[:1] == (wanted["num_classes"],):
        return ()
    return tuple(name for name in shapes if name.startswith("linear."))


def _check(
    shapes: Mapping[str, Shape],
    expected: Mapping[str, Shape],
    where: str,
    nearest: str,
    strict: bool,
    keys: Mapping[str, str],
    recognition: Recognition,
    tensors: Mapping[str, Any],
) -> None:
    """Raises unless exactly the expected tensors are there. Messages use the file's own keys."""
    mismatches = compare(shapes, expected, strict)
    if strict:
        mismatches += [Mismatch(k, shape_of(tensors[k]), None) for k in recognition.unknown]
    if mismatches:
        layout = recognition.layout
        assert layout is not None
        raise mismatch_error(
            where,
            nearest,
            [replace(m, name=keys.get(m.name) or layout.own(m.name) or m.name) for m in mismatches],
        )


def _convert(
    found: StateDict,
    keys: Mapping[str, str],
    shapes: Mapping[str, Shape],
    expected: Mapping[str, Shape],
    report: LoadReport,
) -> tuple[dict[str, Array], LoadReport]:
    raw = found.raw
    budget = CopyBudget(raw.source, _COPY_LIMIT * raw.nbytes, raw.release) if raw.nbytes else None
    state: dict[str, Array] = {}
    dtypes: Counter[str] = Counter()
    filled = []
    for name in expected:
        if name not in shapes:
            if name.endswith(".num_batches_tracked"):
                state[name] = np.zeros((), np.int64)
                filled.append(name)
            continue
        where = f"{raw.source}: {shown(keys[name])}"
        dtype, array = leaf_array(where, found.tensors[keys[name]])
        dtypes[dtype] += 1
        if name.endswith(".num_batches_tracked"):
            state[name] = to_count(where, dtype, array)
            continue
        weight = to_float32(where, dtype, array, budget)
        if name.endswith(".running_var") and weight.min() < 0:
            raise CheckpointError(
                f"{where}: {weight.min()} at channel {int(weight.argmin())}; "
                "expected variances, which are not negative"
            )
        state[name] = weight
    return state, replace(report, dtypes=dict(dtypes), filled=tuple(filled))
