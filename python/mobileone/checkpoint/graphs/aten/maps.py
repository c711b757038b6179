"""PyTorch's functions of feature maps: convolutions, pooling, resizing."""

from __future__ import annotations

from typing import Any

from mobileone.checkpoint.graphs.calls import Call, Operator, per_axis

__all__ = ["MAPS"]


def _conv(call: Call) -> None:
    rank = len(call.shape_of("weight")) - 2
    padding = call["padding"]
    attributes: dict[str, Any] = {}
    if isinstance(padding, str):
        attributes["auto_pad"] = "SAME_UPPER" if padding == "same" else "VALID"
    else:
        attributes["pads"] = per_axis(padding, rank) * 2
    if call.get("transposed"):
        call.refuse("it is transposed")
    attributes["strides"] = per_axis(call["stride"], rank)
    attributes["dilations"] = per_axis(call["dilation"], rank)
    attributes["group"] = int(call["groups"])
    call.add("Conv", call["input"], call["weight"], call["bias"], **attributes)


def _window(call: Call) -> dict[str, Any]:
    """What the attributes of all pooling are."""
    kernel = per_axis(call["kernel_size"])
    return {
        "kernel_shape": kernel,
        "strides": per_axis(call["stride"] or kernel),
        "pads": per_axis(call["padding"]) * 2,
        "ceil_mode": int(call["ceil_mode"]),
    }


def _max_pool(call: Call) -> None:
    dilations = per_axis(call["dilation"])
    call.add_first("MaxPool", call["self"], **_window(call), dilations=dilations)


def _avg_pool(call: Call) -> None:
    if call["divisor_override"] is not None:
        call.refuse("it has a divisor of its own")
    counted = int(call["count_include_pad"])
    call.add("AveragePool", call["self"], **_window(call), count_include_pad=counted)


def _adaptive_pool(call: Call) -> None:
    size, wanted = call.shape_of("self")[2:], per_axis(call["output_size"])
    if wanted == [1, 1]:
        call.add("GlobalAveragePool", call["self"])
        return
    if any(extent % n for extent, n in zip(size, wanted, strict=True)):
        call.refuse(f"it makes {wanted} of {size}")
    kernel = [extent // n for extent, n in zip(size, wanted, strict=True)]
    call.add("AveragePool", call["self"], kernel_shape=kernel, strides=kernel)


def _upsample(mode: str) -> Operator:
    def convert(call: Call) -> None:
        if call.get("align_corners"):
            call.refuse("its corners are aligned")
        image = call.get("self", call.get("input"))
        centres = "half_pixel" if mode == "linear" else "asymmetric"
        call.add(
            "Resize", image, None, None, call.integers(call.shape),
            mode=mode, coordinate_transformation_mode=centres, nearest_mode="floor",
        )  # fmt: skip

    return convert


def _pixel_shuffle(call: Call) -> None:
    call.add("DepthToSpace", call["self"], blocksize=int(call["upscale_factor"]), mode="CRD")


def _channel_shuffle(call: Call) -> None:
    n, c, h, w = call.shape
    groups = int(call["groups"])
    split = call.inner("Reshape", call["self"], call.integers([n, groups, c // groups, h, w]))
    turned = call.inner("Transpose", split, perm=[0, 2, 1, 3, 4])
    call.add("Reshape", turned, call.integers([n, c, h, w]))


MAPS: dict[str, Operator] = {
    **dict.fromkeys(("conv1d", "conv2d", "convolution"), _conv),
    **dict.fromkeys(("adaptive_avg_pool2d", "_adaptive_avg_pool2d"), _adaptive_pool),
    **dict.fromkeys(("max_pool2d", "max_pool2d_with_indices"), _max_pool),
    "avg_pool2d": _avg_pool,
    "channel_shuffle": _channel_shuffle,
    "pixel_shuffle": _pixel_shuffle,
    "upsample_bilinear2d": _upsample("linear"),
    "upsample_nearest2d": _upsample("nearest"),
}
