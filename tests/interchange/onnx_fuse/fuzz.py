"""Mutated ONNX files: fused, or refused with an error of ours.

python -m interchange.onnx_fuse.fuzz 100000     # from tests/, with a seed to begin with after it
"""

from __future__ import annotations

import random
import sys
import tempfile
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path

import mobileone
import numpy as np
import onnx

from .graphs import Graph

C = 4
# What a bad file may raise: ours is a ValueError.
ALLOWED = (mobileone.CheckpointError, OSError)


@cache
def originals() -> tuple[bytes, ...]:
    """Small files with every operator that is read."""
    graph = Graph(C)
    wide = graph.norm(graph.conv("x", (C, C, 3, 3), pads=[1] * 4, bias=True), C)
    narrow = graph.conv("x", (C, 1, 1, 1), group=C)
    pooled = graph.add("AveragePool", "x", kernel_shape=[3, 3], pads=[1] * 4, count_include_pad=1)
    y = graph.add("Relu", graph.add("Sum", wide, narrow, pooled))
    padded = graph.add("Pad", y, graph.constant(_integers([0, 0, 1, 1, 0, 0, 1, 1])))
    y = graph.add("Sub", graph.conv(padded, (32, C, 3, 3)), graph.weight(32, 1, 1))
    y = graph.add("Flatten", graph.add("GlobalAveragePool", y))
    y = graph.add("Gemm", y, graph.weight(8, 32), graph.weight(8), transB=1)
    graph.norm(y, 8, out="y")
    tokens = Graph(5, rank=3, seed=1)
    tokens.inputs[0].type.tensor_type.shape.dim[2].dim_value = C
    product = tokens.add("MatMul", "x", tokens.add("Transpose", tokens.weight(9, C)))
    rows = tokens.add("Reshape", product, tokens.constant(_integers([-1, 9])))
    shape = tokens.add("Shape", product)
    tokens.add("Reshape", tokens.norm(rows, 9), shape, out="y")
    return graph.model().SerializeToString(), tokens.model().SerializeToString()


def _integers(values: list[int]) -> np.ndarray:
    return np.array(values)


def mutated(seed: int, sources: tuple[bytes, ...] = ()) -> bytes:
    """Bytes flipped, cut, repeated or inserted; or a number of the model replaced."""
    rng = random.Random(seed)
    data = bytearray(rng.choice(sources or originals()))
    if rng.random() < 0.4:
        return _renumbered(bytes(data), rng)
    for _ in range(rng.randint(1, 6)):
        place = rng.randrange(len(data))
        what = rng.randrange(5)
        if what == 0:
            data[place] ^= 1 << rng.randrange(8)
        elif what == 1:
            data[place] = rng.choice((0, 1, 0x7F, 0x80, 0xFF))
        elif what == 2:
            del data[place : place + rng.randint(1, 40)]
        elif what == 3:
            data[place:place] = rng.randbytes(rng.randint(1, 8))
        else:
            end = place + rng.randint(1, 60)
            data[place:place] = data[place:end]
        if not data:
            break
    return bytes(data)


def _renumbered(data: bytes, rng: random.Random) -> bytes:
    """A valid message with odd contents: dims, attributes, types, names."""
    model = onnx.ModelProto.FromString(data)
    odd = (0, 1, -1, 2, 3, 2**31, -(2**63), 2**63 - 1)
    for _ in range(rng.randint(1, 3)):
        node = rng.choice(model.graph.node)
        tensor = rng.choice(model.graph.initializer)
        what = rng.randrange(8)
        if what == 0 and tensor.dims:
            tensor.dims[rng.randrange(len(tensor.dims))] = rng.choice(odd)
        elif what == 1:
            tensor.data_type = rng.randrange(25)
        elif what == 2 and node.attribute:
            attribute = rng.choice(node.attribute)
            if attribute.ints:
                attribute.ints[rng.randrange(len(attribute.ints))] = rng.choice(odd)
            else:
                attribute.i = rng.choice(odd)
        elif what == 3 and node.input:
            node.input[rng.randrange(len(node.input))] = rng.choice(node.input)
        elif what == 4 and node.attribute:
            rng.choice(node.attribute).type = rng.randrange(15)
        elif what == 5:
            node.op_type = rng.choice(model.graph.node).op_type
        elif what == 6:
            model.opset_import[0].version = rng.randrange(30)
        elif node.input:
            del node.input[rng.randrange(len(node.input)) :]
    return model.SerializeToString()


def check_mutated(seed: int, folder: Path, run: bool = False) -> str:
    """Fuse a mutated file; what became of it."""
    path = folder / "mutated.onnx"
    path.write_bytes(mutated(seed))
    try:
        fusion = mobileone.fuse_onnx(path, folder / "fused.onnx", run=run)
    except ALLOWED as error:
        return type(error).__name__ if str(error) else "an error without a message"
    assert fusion, f"seed {seed}: {fusion!r}"
    return f"{len(fusion.regions)} regions"


def campaign(check: Callable[[int, Path], str], count: int, first: int = 0) -> None:
    """Check so many seeds from the first on, and print what became of them."""
    outcomes: dict[str, int] = {}
    warnings.simplefilter("error")  # as pytest has it
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(first, first + count):
            try:
                outcome = check(seed, Path(folder))
            except BaseException:
                print(f"seed {seed}", file=sys.stderr)
                raise
            outcomes[outcome] = outcomes.get(outcome, 0) + 1
    print(outcomes)


if __name__ == "__main__":
    campaign(check_mutated, *map(int, sys.argv[1:]))
