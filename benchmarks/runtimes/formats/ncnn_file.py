"""The network in ncnn's two files: operators as text (.param), float32 weights (.bin)."""

from __future__ import annotations

from pathlib import Path

from benchmarks.runtimes.formats.network import Network, Step

__all__ = ["write_ncnn"]

_MAGIC = 7767517
_FLOAT32_TAG = bytes(4)


def write_ncnn(network: Network, param: Path, binary: Path) -> None:
    """Input blob "input" [C, H, W], output blob "logits" [classes]; ncnn has no batch dimension."""
    if network.input_shape[0] != 1:
        raise NotImplementedError(f"ncnn has no batch dimension; batch is {network.input_shape[0]}")
    lines = ["Input input 0 1 input"]
    weights: list[bytes] = []
    blobs = 1
    current = {network.nodes[0]["name"]: ["input"]}
    steps = network.steps("Conv2d", "Linear")
    for step in steps:
        inputs = [current[name].pop() for name in step.inputs]
        output = "logits" if step.output == network.output else step.output
        lines.append(_line(step, inputs, output, network))
        weights += _weights(step, network)
        readers = sum(other.inputs.count(step.output) for other in steps)
        copies = [output] if readers <= 1 else [f"{output}_{i}" for i in range(readers)]
        blobs += 1
        if readers > 1:  # ncnn wants every use of a blob to be a blob of its own
            lines.append(f"Split {output}_split 1 {readers} {output} {' '.join(copies)}")
            blobs += readers
        current[step.output] = copies
    param.write_text("\n".join([str(_MAGIC), f"{len(lines)} {blobs}", *lines]) + "\n")
    binary.write_bytes(b"".join(weights))


def _line(step: Step, inputs: list[str], output: str, network: Network) -> str:
    kind, fields = _layer(step, network)
    if step.relu:
        fields[9] = 1
    values = " ".join(f"{key}={value}" for key, value in fields.items())
    names = " ".join([*inputs, output])
    return f"{kind} {step.name} {len(inputs)} 1 {names} {values}".rstrip()


def _layer(step: Step, network: Network) -> tuple[str, dict[int, int]]:
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
        fields = {0: a["out_channels"]}
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
    if step.kind == "Activation":
        return {"relu": ("ReLU", {}), "sigmoid": ("Sigmoid", {})}[a["kind"]]
    raise NotImplementedError(
        f"{step.name} is a {step.kind}; expected an operator of an inference form"
    )


def _weights(step: Step, network: Network) -> list[bytes]:
    weight = network.weights.get(f"{step.name}.weight")
    bias = network.weights.get(f"{step.name}.bias")
    parts = [] if weight is None else [_FLOAT32_TAG, weight.tobytes()]
    return parts if bias is None else [*parts, bias.tobytes()]
