"""The network in ncnn's two files: operators as text (.param), float32 weights (.bin)."""

from __future__ import annotations

from pathlib import Path

from benchmarks.runtimes.formats import ncnn_tokens
from benchmarks.runtimes.formats.ncnn_writer import Fields, NcnnWriter, tagged
from benchmarks.runtimes.formats.network import Network, Step

__all__ = ["write_ncnn"]


def write_ncnn(network: Network, param: Path, binary: Path) -> None:
    """Input blob "input" [C, H, W], output blob "logits" [classes]; ncnn has no batch dimension."""
    if network.input_shape[0] != 1:
        raise NotImplementedError(f"ncnn has no batch dimension; batch is {network.input_shape[0]}")
    writer = NcnnWriter()
    steps = network.steps("Conv2d", "Linear")
    source = network.nodes[0]["name"]
    uses = {source: [writer.layer("Input", source, [], "input")]}
    for step in steps:
        inputs = [uses[name].pop() for name in _operands(step)]
        output = "logits" if step.output == network.output else step.output
        result = _add(writer, network, step, inputs, output)
        readers = sum(_operands(other).count(step.output) for other in steps)
        # ncnn wants every use of a blob to be a blob of its own.
        uses[step.output] = [result] if readers <= 1 else writer.split(result, readers)
    param.write_text(writer.param())
    binary.write_bytes(writer.weights())


def _operands(step: Step) -> tuple[str, ...]:
    """The inputs without those of which only the size is read: sizes are fixed here."""
    return step.inputs[:1] if step.kind in ("Fold", "Resize") else step.inputs


def _add(writer: NcnnWriter, network: Network, step: Step, inputs: list[str], output: str) -> str:
    """Append the layers of a step; the blob of its result."""
    if step.kind in ncnn_tokens.TRANSLATIONS:
        return ncnn_tokens.TRANSLATIONS[step.kind](writer, network, step, inputs)
    if step.kind == "Linear" and len(network.shapes[step.output]) == 3:
        return ncnn_tokens.linear(writer, network, step, inputs)
    kind, fields = _layer(step, network)
    if step.relu:
        fields[9] = 1
    weight = network.weights.get(f"{step.name}.weight")
    bias = network.weights.get(f"{step.name}.bias")
    parts = [] if weight is None else [tagged(weight)]
    parts += [] if bias is None else [bias.tobytes()]
    return writer.layer(kind, step.name, inputs, output, fields, parts)


def _layer(step: Step, network: Network) -> tuple[str, Fields]:
    """ncnn's layer type and its numbered parameters."""
    a = step.attributes
    if step.kind == "Conv2d" and network.shapes[step.inputs[0]][2:] == (1, 1):
        # A pooled blob is a vector in ncnn, and a convolution of it an inner product.
        size = network.weights[f"{step.name}.weight"].size
        return "InnerProduct", {0: a["out_channels"], 1: int(a["bias"]), 2: size}
    if step.kind == "Conv2d":
        rows, columns = (
            [a[name][i] for name in ("kernel_size", "dilation", "stride", "padding")]
            for i in (0, 1)
        )
        fields: Fields = {0: a["out_channels"]}
        fields |= {1 + i: value for i, value in enumerate(columns)}
        fields |= {11 + i: value for i, value in enumerate(rows)}
        fields |= {5: int(a["bias"]), 6: network.weights[f"{step.name}.weight"].size}
        if a["groups"] == 1:
            return "Convolution", fields
        return "ConvolutionDepthWise", fields | {7: a["groups"]}
    if step.kind == "Linear":
        size = network.weights[f"{step.name}.weight"].size
        return "InnerProduct", {0: a["out_features"], 1: int(a["bias"]), 2: size}
    if step.kind == "GlobalAvgPool":
        return "Pooling", {0: 1, 4: 1}
    if step.kind in ("Add", "Multiply"):
        return "BinaryOp", {0: {"Add": 0, "Multiply": 2}[step.kind]}
    if step.kind == "Concat":
        return "Concat", {0: 0}
    if step.kind == "Activation":
        return {"relu": "ReLU", "sigmoid": "Sigmoid", "silu": "Swish"}[a["kind"]], {}
    raise NotImplementedError(
        f"{step.name} is a {step.kind}; expected an operator of an inference form"
    )
