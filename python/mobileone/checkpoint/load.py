"""From a source to canonical float32 weights and the configuration they belong to."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from mobileone.checkpoint.containers.file import RawCheckpoint, own_metadata
from mobileone.checkpoint.convert import Array, convert
from mobileone.checkpoint.heads import several_heads
from mobileone.checkpoint.held import check_asked
from mobileone.checkpoint.identify import Identity, identify
from mobileone.checkpoint.report import LoadReport
from mobileone.checkpoint.sources import read_source, shape_of
from mobileone.checkpoint.wrappers import Selection, Weights, select_weights, unwrapped
from mobileone.families import family_of, find_family
from mobileone.families.configuration import (
    ParameterShapes,
    graph_parameter_shapes,
    with_given,
)
from mobileone.families.naming.renaming import sliced_shapes
from mobileone.families.variants import describe, family_of_variant, variant_of, variants
from mobileone.util.checks import flag, plain
from mobileone.util.errors import CheckpointError, Shape, shown

if TYPE_CHECKING:
    from mobileone.checkpoint.copies import Copies
    from mobileone.checkpoint.described import Description
    from mobileone.checkpoint.modules.reading import ModuleReading
    from mobileone.families.family import Family


class NewClassifierWarning(UserWarning):
    """A classifier that the source does not have was started anew: expected before a training."""


class StateDict(NamedTuple):
    """Tensors under the names the source gives them, and where they were found.

    Attributes:
        tensors: name -> tensor, as the source holds it: see `sources.leaf_array`.
        raw: the container.
        selection: which wrapper was taken, and what else is in it.
    """

    tensors: Mapping[str, Any]
    raw: RawCheckpoint
    selection: Selection


class LoadedCheckpoint(NamedTuple):
    """Weights ready for the engine.

    Attributes:
        state: canonical name -> C-contiguous float32 array (int64 for `num_batches_tracked`), in
            the graph's order. Arrays may share memory with the source, and be read-only.
        config: see `recover_config`.
        layout: the dialect the source was written in.
        metadata: strings that came with the file.
        report: how the source was understood.
        reading: what a module did when it was run; None for other sources.
    """

    state: dict[str, Array]
    config: dict[str, Any]
    layout: str
    metadata: dict[str, str]
    report: LoadReport
    reading: ModuleReading | None = None


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
    if selection.module is not None:  # {"model": module}, as torch.load gives it
        raw = read_source(selection.module)
        held = select_weights(raw.tree, raw.source)
        selection = selection._replace(state=held.state, skipped=held.skipped)
    return StateDict(unwrapped(selection.state), raw, selection)


def load_state_dict(
    source: object,
    *,
    arch: str | None = None,
    num_classes: int | None = None,
    strict: bool = True,
    weights: Weights = "auto",
    config: Mapping[str, Any] | None = None,
    head: str | None = None,
    description: Description | None = None,
    check: bool = False,
    copied: bool = False,
    parameter_shapes: ParameterShapes = graph_parameter_shapes,
) -> LoadedCheckpoint:
    """Weights under canonical names, checked one by one, and the configuration they imply.

    Args:
        source: path, mapping of arrays by name, or torch.nn.Module.
        arch: the variant that the source must hold, e.g. "mobileone_s0"; None takes any.
        num_classes: the number of classes it must have; None takes any, 0 means no classifier.
        strict: False ignores tensors that the network does not have, does without a classifier
            that is missing, and starts one anew that is missing or of another number of classes
            where a number is asked for. The report lists both.
        weights: see `read`; of several networks under several prefixes, too.
        config: fields that weights do not tell, e.g. a MobileViT's heads and patch size.
        head: the name of the classifier to take, where there are several.
        description: what a config.json beside the file says; ``config`` has the last word.
        check: whether a module is run on noise, so that its results can be compared.
        copied: whether float32 weights are copied, as a Network takes them without copying again;
            else they share memory with the source, but for a module's.
        parameter_shapes: what tensors a configuration has; the engine's graph by default.

    Raises:
        CheckpointError: damaged, not a known network, or not the one asked for.
        ValueError, TypeError: bad arguments.
    """
    check_asked(arch, num_classes, config, head)
    num_classes, strict = plain(num_classes), flag("strict", strict)
    found = read(source, weights=weights)
    where = found.raw.source
    imported = _load_imported(found)
    if imported is not None:
        return imported
    shapes = {key: _shape_of(key, tensor) for key, tensor in found.tensors.items()}
    identity = identify(
        shapes,
        where,
        found.raw.metadata,
        weights=weights,
        strict=strict,
        skipped=found.selection.skipped,
        heads=_may_have_head(arch, num_classes),
    ).with_head(head, num_classes, strict)
    family = find_family(identity.layout.architecture)
    copies = _begin_copies(found, identity)
    reading = _read_module(found, identity, check)
    told = dict(found.raw.told)
    if reading is not None:
        told |= reading.told(family)
    described = {} if description is None else description.fields(family, identity.layout.name)
    wanted = _wanted(identity, arch, num_classes, config, told, described, description)
    if num_classes is None and not wanted["num_classes"] and strict and not _says_none(found.raw):
        # A whole file would have a classifier: the message says what is missing.
        wanted["num_classes"] = 1000
    if not strict:
        identity = identity.without_other_classifier(wanted["num_classes"])
    try:
        expected = parameter_shapes(wanted)
    except ValueError as error:
        raise CheckpointError(f"{where}: its shapes make no network: {error}") from error
    identity.check(expected, strict)
    needed = sliced_shapes(identity.layout, expected)
    used = {identity.keys[name] for name in identity.shapes if name in needed}
    report = LoadReport(
        where,
        found.raw.format,
        found.selection.path,
        found.selection.averaged if identity.part.averaged is None else identity.part.averaged,
        (*found.selection.others, *identity.part.others),
        (identity.part.prefix,) if identity.part.prefix else (),
        identity.layout.name,
        missing=tuple(
            n for n in expected if identity.is_classifier(n) and n not in identity.shapes
        ),
        ignored=tuple(key for key in shapes if key not in used),
        head=identity.head,
        heads=tuple(map(str, identity.heads)),
        skipped=found.selection.skipped,
    )
    tellers = _tellers(found, family, wanted["form"], told, described, config or {})
    report = replace(
        report,
        told=tellers,
        assumed={k: v for k, v in family.assumed(wanted).items() if k not in tellers},
    )
    if description is not None and description.problem:
        report = replace(report, notes=(description.problem,))
    if reading is not None:
        classifier = bool(wanted["num_classes"]) and not report.missing
        reading.compare(wanted, classifier=classifier, strict=strict)
        unread = report.assumed if reading.problem else {}
        report = replace(report, assumed=unread, notes=(*report.notes, *reading.notes))
    _warn(identity, report, num_classes)
    state, dtypes, filled = convert(
        found.raw, found.tensors, identity, wanted, expected, report.missing, copies, copied
    )
    report = replace(report, dtypes=dtypes, filled=filled)
    metadata = dict(found.raw.metadata)
    return LoadedCheckpoint(state, wanted, identity.layout.name, metadata, report, reading)


def _may_have_head(arch: str | None, num_classes: int | None) -> bool:
    """Whether a network for another task may be meant: not by a classifier's name, and not where a
    backbone alone is asked for.
    """
    family = None if arch is None else family_of_variant(arch)
    return num_classes != 0 and (family is None or family.task != "classification")


def _load_imported(found: StateDict) -> LoadedCheckpoint | None:
    """A network whose graph the file holds; None for one that holds none."""
    if '"imported"' not in own_metadata(found.raw.metadata).get("config", ""):
        return None
    from mobileone.checkpoint.imported import ARCHITECTURE, imported_config, imported_state

    config = imported_config(found.raw)
    if config is None:
        return None
    state, report = imported_state(found.raw, found.tensors, config)
    metadata = dict(found.raw.metadata)
    return LoadedCheckpoint(state, {**config, "arch": ARCHITECTURE}, ARCHITECTURE, metadata, report)


def _tellers(
    found: StateDict, family: Family, form: str, *told: Mapping[str, Any]
) -> dict[str, str]:
    """Field that weights do not show -> who told it; the last one has the last word.

    Args:
        found: the source.
        family: of the network.
        form: that it is in.
        told: what a module says, a config.json, and the user.
    """
    known = {*family.unseen(form), "output_stride"}
    raw = found.raw
    tellers = dict.fromkeys(known, "metadata") if "config" in own_metadata(raw.metadata) else {}
    for who, fields in zip(("module", "config.json", "config"), told, strict=True):
        tellers |= {name: who for name in fields if name in known}
    if raw.module is not None or "strides" in tellers:
        tellers.setdefault("output_stride", tellers.get("strides", "module"))
    return tellers


def _begin_copies(found: StateDict, identity: Identity) -> Copies | None:
    """Copies of a module's weights, which are made while it is read; None for other sources."""
    if found.raw.module is None:
        return None
    from mobileone.checkpoint.copies import Copies

    weights = (k for name, k in identity.keys.items() if not name.endswith("num_batches_tracked"))
    return Copies({key: found.tensors[key] for key in weights}, meanwhile=True)


def _read_module(found: StateDict, identity: Identity, check: bool) -> ModuleReading | None:
    """What a module does with the tensors that are the network's; None for other sources."""
    if found.raw.module is None:
        return None
    from mobileone.checkpoint.modules.reading import read_module

    tensors = {name: found.tensors[key] for name, key in identity.keys.items()}
    channels, where = identity.config["in_channels"], found.raw.source
    empty = next((k for k in identity.keys.values() if _has_no_elements(found.tensors[k])), None)
    if empty is not None:
        raise CheckpointError(
            f"{where}: {shown(empty)} is on the meta device: it has a shape and no elements"
        )
    _check_not_tied(found, identity.keys.values())
    return read_module(found.raw.module, tensors, channels, where, computes=check)


def _check_not_tied(found: StateDict, keys: Iterable[str]) -> None:
    """NotImplementedError if a module has one tensor in two places: calls would not tell which."""
    seen: dict[tuple[int, Shape], str] = {}
    for key in keys:
        tensor = found.tensors[key]
        other = seen.setdefault((tensor.data_ptr(), tuple(tensor.shape)), key)
        if other != key and not key.endswith("num_batches_tracked"):
            raise NotImplementedError(
                f"{found.raw.source}: {shown(other)} and {shown(key)} are one tensor (tied "
                "weights); expected one for each. Load its state_dict(): each gets a copy"
            )


def _has_no_elements(tensor: Any) -> bool:
    return bool(getattr(tensor, "is_meta", False))


def _shape_of(key: str, tensor: Any) -> Shape:
    """A tensor's shape; of a count of batches () also where NumPy made that (1,)."""
    shape = shape_of(tensor)
    return () if shape == (1,) and key.endswith("num_batches_tracked") else shape


def _wanted(
    identity: Identity,
    arch: str | None,
    num_classes: int | None,
    given: Mapping[str, Any] | None,
    told: Mapping[str, Any],
    described: Mapping[str, Any],
    description: Description | None,
) -> dict[str, Any]:
    """The configuration that the tensors are compared with: what was asked for, else as found."""
    wanted = dict(identity.config)
    if arch is not None:
        family = family_of_variant(arch)
        if family is None or _is_other(family, arch, identity):
            found = describe(identity.layout.name, identity.config)
            raise CheckpointError(f"{identity.source}: is {found}; expected {arch}")
        left_out = {f.name for f in family.fields if wanted[f.name] == f.absent is not None}
        structure = variants(family.name)[arch].items()
        wanted |= {key: value for key, value in structure if key not in left_out}
        wanted["arch"] = arch
    untold = {*find_family(identity.layout.architecture).unseen(wanted["form"]), "output_stride"}
    said = {key: value for key, value in {**told, **described}.items() if key in untold}
    layout = identity.layout.name
    try:
        with_given(wanted, {key: value for key, value in told.items() if key in untold}, layout)
    except ValueError as error:
        raise NotImplementedError(f"{identity.source}: what it computes: {error}") from error
    try:
        # By itself first, where it says anything: its mistakes are not the caller's.
        if any(key in untold for key in described):
            with_given(wanted, said, layout)
    except ValueError as error:
        where = identity.source if description is None else description.source
        raise CheckpointError(f"{where}: {error}") from error
    if said or given:
        wanted = with_given(wanted, {**said, **(given or {})}, layout)
        wanted["arch"] = variant_of(wanted)
    if num_classes is not None:
        wanted["num_classes"] = num_classes
    return wanted


def _is_other(family: Family, arch: str, identity: Identity) -> bool:
    """Whether a variant is of another family than the network, or its backbone is."""
    if family.name != identity.layout.architecture:
        return True
    told, found = variants(family.name)[arch].get("backbone"), identity.config.get("backbone")
    return told is not None and family_of(told).name != family_of(found or {}).name


def _says_none(raw: RawCheckpoint) -> bool:
    """Whether a source without a classifier is whole as it is: a module, or a file of our own."""
    return "config" in own_metadata(raw.metadata) or raw.format == "module"


def _warn(identity: Identity, report: LoadReport, asked: int | None) -> None:
    if report.missing:
        warnings.warn(
            f"{report.source}: {' and '.join(report.missing)} started anew with random weights; "
            "the network's results mean nothing until it is trained",
            NewClassifierWarning,
            stacklevel=4,
        )
    elif report.heads and not report.head and asked is None:
        warnings.warn(
            f"{report.source}: no classifier is taken, results are pooled features; "
            f"{several_heads(identity.heads)}",
            stacklevel=4,
        )
