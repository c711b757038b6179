"""Integers as ONNX writes them: operators of float32 between DequantizeLinear and QuantizeLinear.

A convolution's maps have the scale 1 and its weights the multiplier: so that every runtime that
computes it in integers has the same multiplier, without rounding a quotient of scales again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mobileone.interchange.onnx.writer import OnnxWriter

__all__ = ["convolve_integers", "dequantize", "quantize"]

Node = Mapping[str, Any]


def quantize(writer: OnnxWriter, node: Node, inputs: list[str]) -> str:
    """Quantize."""
    return _quantized(writer, inputs[0], node["attributes"]["scale"], _zero(node))


def dequantize(writer: OnnxWriter, node: Node, inputs: list[str]) -> str:
    """Dequantize."""
    return _dequantized(writer, inputs[0], node["attributes"]["scale"], _zero(node))


def convolve_integers(writer: OnnxWriter, node: Node, inputs: list[str]) -> str:
    """QuantizedConvolution."""
    fields = node["attributes"]
    weight, bias, multiplier = writer.parameters(node["name"], "weight", "bias", "multiplier")
    result = writer.add(
        "Conv",
        _dequantized(writer, inputs[0], 1.0, fields["input_zero_point"]),
        writer.add("DequantizeLinear", weight, multiplier, axis=0),
        writer.add("DequantizeLinear", bias, multiplier, axis=0),
        kernel_shape=fields["kernel_size"],
        strides=fields["stride"],
        pads=[*fields["padding"], *fields["padding"]],
        dilations=fields["dilation"],
        group=fields["groups"],
    )
    if fields["relu"]:
        result = writer.add("Relu", result)
    if fields["float_result"]:
        return result
    return _quantized(writer, result, 1.0, fields["output_zero_point"])


def _zero(node: Node) -> int:
    return int(node["attributes"]["zero_point"])


def _quantized(writer: OnnxWriter, tensor: str, scale: float, zero_point: int) -> str:
    return writer.add("QuantizeLinear", tensor, writer.scalar(scale), writer.byte(zero_point))


def _dequantized(writer: OnnxWriter, tensor: str, scale: float, zero_point: int) -> str:
    return writer.add("DequantizeLinear", tensor, writer.scalar(scale), writer.byte(zero_point))
