"""A program as a network, and as everything that is known of it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mobileone._core import Network
from mobileone.checkpoint.containers.file import own_metadata
from mobileone.checkpoint.graphs.attention import recognise_attention
from mobileone.checkpoint.graphs.lowering import Lowering
from mobileone.checkpoint.graphs.open_axes import check_open_axes
from mobileone.checkpoint.graphs.operators.table import HANDLERS
from mobileone.checkpoint.graphs.statement import Program
from mobileone.checkpoint.graphs.writer import GraphWriter, Tensor
from mobileone.network.bundle import Bundle
from mobileone.util.errors import CheckpointError, shown

if TYPE_CHECKING:
    from mobileone.data.config import DataConfig

# What ends a stage.
_MAPS = ("Activation", "Add", "AvgPool", "BatchNorm", "Concat", "Conv2d", "MaxPool", "Multiply")

__all__ = ["bundle_of_program", "network_of", "open_program"]


def network_of(program: Program) -> Network:
    """The network of a program.

    Feature levels are the last maps of each size below the image's on the way to the result.

    Raises:
        NotImplementedError: an operator that graphs do not have.
        CheckpointError: a program that is none.
    """
    lowering = Lowering(program)
    outputs = lowering.run(HANDLERS)
    check_open_axes(program, lowering.writer)
    if not outputs:
        raise CheckpointError(f"{program.where}: has no output")
    main = next(iter(outputs.values()))
    images = dict(program.inputs).popitem()[1][0]
    for key, result in outputs.items():
        joined = result.batch == 0 and result.shape[0] != images
        if joined or (result is main and result.batch != 0):
            raise NotImplementedError(
                f"{program.where}: output {shown(key)!r} has shape {result.shape}, whose first "
                "axis is not that of images"
            )
    writer = lowering.writer
    recognise_attention(writer)
    try:
        network = writer.build(_distinct(outputs), _levels(writer, main))
        shapes = network.graph.shapes(dict(program.inputs))
    except ValueError as error:
        raise CheckpointError(f"{program.where}: makes no graph: {error}") from error
    for name, shape in shapes.items():
        found = writer.shapes[name]
        if tuple(shape) != found:
            raise CheckpointError(
                f"{program.where}: node {shown(name)!r} has shape {tuple(shape)} where {found} was "
                "expected"
            )
    return network


def _distinct(outputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Results by name, the main one first; of several names of one node the first."""
    nodes: set[str] = set()
    found: dict[str, Tensor] = {}
    for key, tensor in outputs.items():
        if tensor.node not in nodes:
            nodes.add(tensor.node)
            found[key if found else "output"] = tensor  # what every classifier calls its result
    return found


def _levels(writer: GraphWriter, main: Tensor) -> list[str]:
    needed = writer.needed([main])
    levels: dict[tuple[int, ...], str] = {}
    image = next(shape for name, shape in writer.shapes.items() if name in needed)
    for name, shape in writer.shapes.items():
        if name not in needed or name == main.node or len(shape) != 4 or shape[0] != image[0]:
            continue
        size = shape[2:]
        if max(size) > 1 and size[0] * size[1] < image[2] * image[3] and min(size) > 0:
            if writer.nodes[name].kind not in _MAPS:
                continue
            levels.pop(size, None)  # in the order of the nodes
            levels[size] = name
    return list(levels.values())


def bundle_of_program(program: Program, name: str, metadata: Mapping[str, str]) -> Bundle:
    """The network, with the data config and names of classes that a file of ours has."""
    from mobileone.families.imported import FAMILY, config_of

    network = network_of(program)
    (shape,) = program.inputs.values()
    own = own_metadata(metadata)
    try:
        told: dict[str, Any] = {"data_config": _data_config(own, shape)}
        if "class_names" in own:
            from mobileone.tasks.classification.labels import parse_class_names

            told["class_names"] = parse_class_names(own["class_names"])
        config = config_of(network.graph, shape)
        return Bundle.of(network, config, arch=FAMILY.name, name=name, **told)
    except ValueError as error:
        raise CheckpointError(f"{program.where}: {error}") from error


def _data_config(metadata: Mapping[str, str], shape: tuple[int, ...]) -> DataConfig:
    """What the file says, or pixels as they are commonly normalised, of the file's size."""
    from dataclasses import replace

    from mobileone.data.config import DataConfig, check_channels, plain_data_config

    if "data_config" in metadata:
        return check_channels(DataConfig.from_json(metadata["data_config"]), shape[1])
    usual = DataConfig() if shape[1] == 3 else plain_data_config(shape[1])
    return replace(usual, input_size=(shape[2], shape[3]))


def open_program(source: Any) -> Bundle:
    """The bundle of an .onnx or .pt2 file or a torch.export.ExportedProgram."""
    is_file = isinstance(source, str | os.PathLike)
    where = os.fsdecode(source) if is_file else "program"
    name = os.path.basename(where)
    if where.lower().endswith(".onnx"):
        from mobileone.checkpoint.graphs.onnx_program import read_onnx

        program, metadata = read_onnx(where)
        return bundle_of_program(program, name, metadata)
    from mobileone.checkpoint.graphs.exported import load_exported, read_exported

    exported = load_exported(where) if is_file else source
    return bundle_of_program(read_exported(exported, where), name, {})
