"""From any source to a `Bundle`: a checkpoint file or module, a remote one, a variant by name."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from mobileone._core import Network
from mobileone.checkpoint.containers.file import own_metadata
from mobileone.checkpoint.described import Description, describe_file
from mobileone.checkpoint.held import check_held
from mobileone.checkpoint.load import LoadedCheckpoint, load_state_dict
from mobileone.data.config import CHANNEL_ORDERS, DataConfig, check_channels
from mobileone.families import family_of
from mobileone.families.variants import CUSTOM
from mobileone.network.bundle import Bundle
from mobileone.util.checks import flag
from mobileone.util.errors import CheckpointError, shown

if TYPE_CHECKING:
    from mobileone.checkpoint.report import LoadReport
    from mobileone.checkpoint.wrappers import Weights

__all__ = ["bundle_of", "is_variant", "open_bundle", "open_named"]

# What names of repositories on the Hugging Face Hub look like.
_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+", re.ASCII)
# Beginnings of sources that `checkpoint.hub` fetches.
REMOTE = ("hf-hub:", "https://", "http://")


def bundle_of(source: Any) -> Bundle:
    """The bundle of a model as it is, or of anything that `open_bundle` takes."""
    held = getattr(source, "bundle", source)
    return held if isinstance(held, Bundle) else open_bundle(source)


def open_bundle(
    source: Any,
    *,
    arch: str | None = None,
    num_classes: int | None = None,
    strict: bool = True,
    weights: Weights = "auto",
    sha256: str | None = None,
    config: Mapping[str, Any] | None = None,
    head: str | None = None,
    check: bool = True,
) -> Bundle:
    """What a checkpoint holds; arguments and errors are those of `mobileone.load`."""
    strict, check = flag("strict", strict), flag("check", check)
    asked: dict[str, Any] = {"arch": arch, "num_classes": num_classes, "config": config}
    if isinstance(source, Bundle):
        check_held(source, weights=weights, sha256=sha256, head=head, **asked)
        return source
    source, name, description = _locate(source, sha256)
    if _holds_graph(source):
        from mobileone.checkpoint.graphs.network import open_program

        graph = open_program(source)
        check_held(graph, weights="auto", sha256=None, head=head, **asked)
        return graph
    loaded = load_state_dict(
        source,
        arch=arch,
        num_classes=num_classes,
        strict=strict,
        weights=weights,
        config=config,
        head=head,
        description=description,
        check=check,
        copied=True,
    )
    family = family_of(loaded.config)
    made_from = {key: value for key, value in loaded.config.items() if key != "arch"}
    found = loaded.config.get("arch", CUSTOM)
    found = family.custom if found == CUSTOM else found
    data_config, teller = _data_config(source, description, loaded, found)
    network = Network(family.graph(made_from), _in_own_order(loaded, data_config))
    report = _with_preprocessing(loaded.report, data_config, teller)
    if loaded.report.assumed and not config and not _is_published(loaded):
        warnings.warn(
            f"{report.source}: its weights do not show {', '.join(report.assumed)}; taken as "
            f"published: {report.assumptions()}. Say otherwise by config=, a config.json beside "
            "the file, or the module itself",
            stacklevel=3,
        )
    if check and loaded.reading is not None:
        from mobileone.checkpoint.modules.check import check_results

        note = check_results(loaded.reading, network)
        report = replace(report, notes=(*report.notes, note) if note else report.notes)
    names: Any = own_metadata(loaded.metadata).get("class_names")
    with _blaming(loaded.report.source, "class_names"):
        count = int(made_from["num_classes"])
        if loaded.report.missing or not count:  # a new classifier's classes are not the file's
            names = _nobodys(count)
        elif names is not None:
            from mobileone.tasks.classification.labels import parse_class_names

            names = parse_class_names(names)
        elif description is not None:
            names = description.names_for(count)
        return Bundle.of(
            network,
            made_from,
            arch=found,
            name=name or found,
            report=report,
            data_config=data_config,
            class_names=names,
            untrained=_untrained(loaded, network),
            quantization=own_metadata(loaded.metadata).get("quantization", ""),
        )


def _holds_graph(source: Any) -> bool:
    """Whether it is a file of ONNX or torch.export, or a program of that."""
    if isinstance(source, str | os.PathLike):
        return os.path.splitext(os.fsdecode(source))[1].lower() in (".onnx", ".pt2")
    return type(source).__name__ == "ExportedProgram" and hasattr(source, "graph_signature")


def open_named(source: str | os.PathLike[str], seed: int = 0) -> Bundle:
    """What a checkpoint file holds, or a named variant with seeded weights, in train-time form."""
    if is_variant(source):
        from mobileone.network.create import create_bundle

        return create_bundle(os.fspath(source), 1000, seed, {})
    return open_bundle(source)


def _nobodys(count: int) -> tuple[str, ...] | None:
    """Names that say nothing, where a thousand classes would be taken for ImageNet's."""
    return tuple(f"class {i}" for i in range(count)) if count == 1000 else None


def is_variant(source: str | os.PathLike[str]) -> bool:
    """True for the name of a variant; ValueError for what is neither that nor like a path."""
    from mobileone.network.create import list_models

    if not isinstance(source, str) or os.path.exists(source):
        return False
    if source in list_models():
        return True
    # Anything that looks like a path is opened: the error names the missing file.
    if os.path.dirname(source) or os.path.splitext(source)[1]:
        return False
    names = ", ".join(list_models())
    raise ValueError(f"{source!r} is neither a file nor a model name; expected one of {names}")


def _locate(source: Any, sha256: str | None) -> tuple[Any, str | None, Description | None]:
    """What to read, its name if it is a file, and what the config.json beside it says."""
    if isinstance(source, str) and source.startswith(REMOTE):
        from mobileone.checkpoint.hub import fetch

        fetched = fetch(source, sha256)
        return fetched.path, fetched.name, fetched.description
    file = isinstance(source, str | os.PathLike)
    if isinstance(source, str):
        _check_there(source)
    if sha256 is not None:
        from mobileone.checkpoint.hub import check_sha256, parse_sha256

        if not file:
            raise ValueError(
                f"sha256 is given, but source is a {type(source).__name__}; only files"
                " have checksums"
            )
        check_sha256(source, parse_sha256(sha256), os.fsdecode(source))
    name = os.path.basename(os.fsdecode(source)) if file else None
    return source, name, describe_file(source) if file else None


def _check_there(source: str) -> None:
    """FileNotFoundError that says what is possible, where a string names something else."""
    if os.path.exists(source):
        return
    from mobileone.network.create import list_models

    if source in list_models():
        raise FileNotFoundError(
            f"{source}: no such file; it is a variant's name. Expected a file of trained weights, "
            "or hf-hub:REPOSITORY or a URL of one; create_model() makes a new network of a variant"
        )
    folder, name = os.path.split(source)
    if _REPOSITORY.fullmatch(source) and not (os.path.isdir(folder) or os.path.splitext(name)[1]):
        raise FileNotFoundError(f"{source}: no such file; a repository is hf-hub:{source}")


def _data_config(
    source: Any, description: Description | None, loaded: LoadedCheckpoint, arch: str
) -> tuple[DataConfig, str]:
    """What the file says, or timm's description, or else what its variant and layout mean; and
    who says it, "" for the last.
    """
    channels = int(loaded.config["in_channels"])
    stored = own_metadata(loaded.metadata).get("data_config")
    if stored is not None:
        with _blaming(loaded.report.source, "data_config"):
            return check_channels(DataConfig.from_json(stored), channels), "metadata"
    usual = family_of(loaded.config).data_config(arch, loaded.layout, channels)
    own = getattr(source, "pretrained_cfg", None)
    told = own if description is None else description.pretrained_cfg
    with suppress(ValueError):  # a description of other weights, such as interpolation "random"
        if isinstance(told, Mapping):
            config = check_channels(DataConfig.from_timm(told), channels)
            return config, "module" if description is None else "config.json"
        if description is not None and description.image_size is not None:
            return replace(usual, input_size=description.image_size), "config.json"
    return usual, ""


def _with_preprocessing(report: LoadReport, data_config: DataConfig, teller: str) -> LoadReport:
    """The report with who said what the network expects of images."""
    if teller:
        return replace(report, told={**report.told, "data_config": teller})
    assumed = {"channel_order": data_config.channel_order, "preprocessing": "as published"}
    return replace(report, assumed={**report.assumed, **assumed})


def _is_published(loaded: LoadedCheckpoint) -> bool:
    """Whether it may be a file of the published weights, of which the published values are true."""
    whole = loaded.config["num_classes"] == 1000 and not loaded.report.missing
    return whole and loaded.config["arch"] != CUSTOM


def _in_own_order(loaded: LoadedCheckpoint, data_config: DataConfig) -> dict[str, Any]:
    """The weights with the stem's input channels as the data config has them; see `Model.save`."""
    stored = own_metadata(loaded.metadata).get("channel_order")
    if stored is not None and stored not in CHANNEL_ORDERS:
        raise CheckpointError(
            f"{loaded.report.source}: channel_order {shown(stored)} in its metadata; "
            f"expected one of {CHANNEL_ORDERS}"
        )
    if stored is None or stored == data_config.channel_order:
        return dict(loaded.state)
    from mobileone.checkpoint.channels import with_input_reversed

    return with_input_reversed(loaded.state, family_of(loaded.config).name)


def _untrained(loaded: LoadedCheckpoint, network: Network) -> dict[str, Any]:
    """Weights that were started anew, now or before the file was saved."""
    names = list(loaded.report.missing)
    stored = own_metadata(loaded.metadata).get("untrained")
    if stored is not None and not names:
        from mobileone.tasks.classification.labels import parse_class_names

        with _blaming(loaded.report.source, "untrained"):
            names = list(parse_class_names(stored))
    weights = network.weights() if names else {}
    return {name: np.array(weights[name]) for name in names if name in weights}


@contextmanager
def _blaming(where: str, field: str) -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise CheckpointError(f"{where}: damaged {field} in its metadata: {error}") from error
