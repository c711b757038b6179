"""PyTorch's matrix products, and softmax between them."""

from __future__ import annotations

from mobileone.checkpoint.graphs.calls import Call, Operator

__all__ = ["PRODUCTS"]


def _linear(call: Call) -> None:
    turned = call.constant(call.array("weight").T)
    if call["bias"] is None:
        call.add("MatMul", call["input"], turned)
    else:
        call.add("Add", call.inner("MatMul", call["input"], turned), call["bias"])


def _addmm(call: Call) -> None:
    call.add("Add", call.inner("MatMul", call["mat1"], call["mat2"]), call["self"])


def _softmax(call: Call) -> None:
    call.add("Softmax", call["self"], axis=int(call["dim"]))


def _attention(call: Call) -> None:
    if call["is_causal"] or call["dropout_p"]:
        call.refuse("it is causal, or drops weights")
    parts = call["query"], call["key"], call["value"], call["attn_mask"]
    call.add("ScaledDotProductAttention", *parts, scale=call["scale"])


PRODUCTS: dict[str, Operator] = {
    **dict.fromkeys(("bmm", "mm"), lambda call: call.add("MatMul", call["self"], call["mat2"])),
    **dict.fromkeys(("softmax", "_softmax"), _softmax),
    "addmm": _addmm,
    "linear": _linear,
    "matmul": lambda call: call.add("MatMul", call["self"], call["other"]),
    "scaled_dot_product_attention": _attention,
}
