"""load and reparameterize: from any source to a Model."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any, Literal

from mobileone._core import Network
from mobileone._core import reparameterize as reparameterize_network
from mobileone.checkpoint import (
    CheckpointError,
    LoadedCheckpoint,
    load_state_dict,
    with_input_reversed,
)
from mobileone.data.config import CHANNEL_ORDERS, DataConfig, check_channels, default_data_config
from mobileone.families.graph import INFERENCE, architecture_of, graph_of
from mobileone.model import Model
from mobileone.network.create import CUSTOM
from mobileone.tasks.classification.labels import parse_class_names
from mobileone.util.errors import shown

# Beginnings of sources that `checkpoint.hub` fetches.
REMOTE = ("hf-hub:", "https://", "http://")


def load(
    source: Any,
    *,
    arch: str | None = None,
    num_classes: int | None = None,
    strict: bool = True,
    weights: Literal["auto", "ema", "model"] = "auto",
    sha256: str | None = None,
    config: Mapping[str, Any] | None = None,
) -> Model:
    """A Model from a checkpoint; variant, form and classes are recognised from the tensors.

    The weights are copied: neither overwriting the file nor changing the arrays later changes the
    model, and nothing of a pickle is ever executed.

    Args:
        source: a path (.safetensors, or what torch.save wrote), a mapping of arrays by name, a
            torch.nn.Module, ``hf-hub:owner/name@revision[:filename]`` or ``https://...``
            (`mobileone.checkpoint.hub.fetch`).
        arch: the variant that it must be, e.g. "mobileone_s0"; None takes any.
        num_classes: the number of classes that it must have; None takes any.
        strict: False ignores tensors that the network does not have.
        weights: "ema" or "model" where a file holds averaged and plain weights both.
        sha256: the checksum that the file must have, as 64 hexadecimal digits.
        config: what the weights of a MobileViT do not show, where it is not as published: heads
            (4), patch (2, 2), dropout, ffn_dropout, classifier_dropout (0). A module or a file of
            this package says it by itself.

    Raises:
        CheckpointError: damaged, not a known network, or not the one asked for.
        OSError: there is no such file, or the server cannot be reached.
    """
    if isinstance(source, Model):
        return source
    source, name, told = _locate(source, sha256)
    loaded = load_state_dict(
        source, arch=arch, num_classes=num_classes, strict=strict, weights=weights, config=config
    )
    found = loaded.config.get("arch", "custom")
    if found == "custom":
        found = CUSTOM[architecture_of(loaded.config)]
    made_from = {key: value for key, value in loaded.config.items() if key != "arch"}
    data_config = _data_config(told, loaded, found)
    network = Network(graph_of(loaded.config), _in_own_order(loaded, data_config))
    model = Model(
        network,
        made_from,
        arch=found,
        name=name or found,
        report=loaded.report,
        data_config=data_config,
    )
    names = _metadata(loaded).get("class_names")
    if names is not None:
        with _blaming(loaded.report.source, "class_names"):
            model.class_names = parse_class_names(names)
    return model


def _locate(source: Any, sha256: str | None) -> tuple[Any, str | None, Any]:
    """What to read, its name if it is a file, and timm's description if it comes with one."""
    if isinstance(source, str) and source.startswith(REMOTE):
        from mobileone.checkpoint.hub import fetch

        fetched = fetch(source, sha256)
        return fetched.path, fetched.name, fetched.pretrained_cfg
    file = isinstance(source, str | os.PathLike)
    if sha256 is not None:
        from mobileone.checkpoint.hub import check_sha256, parse_sha256

        if not file:
            raise ValueError(
                f"sha256 is given, but source is a {type(source).__name__}; only files"
                " have checksums"
            )
        check_sha256(source, parse_sha256(sha256), os.fsdecode(source))
    name = os.path.basename(os.fsdecode(source)) if file else None
    return source, name, getattr(source, "pretrained_cfg", None)


def _data_config(told: Any, loaded: LoadedCheckpoint, arch: str) -> DataConfig:
    """What the file says, or timm's description, or else what its variant and layout mean."""
    stored = _metadata(loaded).get("data_config")
    if stored is not None:
        with _blaming(loaded.report.source, "data_config"):
            config = DataConfig.from_json(stored)
            return check_channels(config, int(loaded.config["in_channels"]))
    if isinstance(told, Mapping):
        with suppress(ValueError):  # a description of other weights, such as interpolation "random"
            return check_channels(DataConfig.from_timm(told), int(loaded.config["in_channels"]))
    return default_data_config(
        arch, loaded.layout, int(loaded.config["in_channels"]), architecture_of(loaded.config)
    )


def _in_own_order(loaded: LoadedCheckpoint, data_config: DataConfig) -> dict[str, Any]:
    """The weights with the stem's input channels as the data config has them; see `Model.save`."""
    stored = _metadata(loaded).get("channel_order")
    if stored is not None and stored not in CHANNEL_ORDERS:
        raise CheckpointError(
            f"{loaded.report.source}: channel_order {shown(stored)} in its metadata; "
            f"expected one of {CHANNEL_ORDERS}"
        )
    if stored is None or stored == data_config.channel_order:
        return dict(loaded.state)
    return with_input_reversed(loaded.state, architecture_of(loaded.config))


def _metadata(loaded: LoadedCheckpoint) -> dict[str, str]:
    """The file's own metadata, if this package wrote it."""
    return loaded.metadata if loaded.metadata.get("format") == "mobileone" else {}


@contextmanager
def _blaming(where: str, field: str) -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise CheckpointError(f"{where}: damaged {field} in its metadata: {error}") from error


def from_torch(module: Any, **options: Any) -> Model:
    """The Model of a torch.nn.Module: the authors', timm's or mmpretrain's, in either form.

    torch is not imported here, and the module is neither changed nor kept. `load(module)` does the
    same; this one says what it takes.

    Args:
        module: a torch.nn.Module on the CPU.
        options: those of `load`.

    Raises:
        TypeError: something else than a module.
        CheckpointError: a module of another network.
    """
    if not (hasattr(module, "state_dict") and hasattr(module, "named_modules")):
        raise TypeError(f"module is a {type(module).__name__}; expected a torch.nn.Module")
    return load(module, **options)


def reparameterize(source: Any) -> Model:
    """The same function in inference form: one convolution with a bias per block (section 3.3).

    The algebra is done in float64 and rounded once. The source is never changed; a model that is
    in inference form already comes back with the same weights.

    Args:
        source: a Model, or anything that `load` takes.
    """
    model = load(source)
    network = reparameterize_network(model.network)
    config = {**model.config, "form": INFERENCE}
    return Model(
        network,
        config,
        arch=model.arch,
        name=model.name,
        report=model.report,
        data_config=model.data_config,
        class_names=model.class_names,
    )
