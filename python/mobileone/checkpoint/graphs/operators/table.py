"""Every operator that graphs can be made of."""

from __future__ import annotations

from mobileone.checkpoint.graphs.lowering import Handler
from mobileone.checkpoint.graphs.operators.elementwise import ELEMENTWISE
from mobileone.checkpoint.graphs.operators.maps import (
    average_pool,
    batch_norm,
    conv,
    global_average_pool,
    max_pool,
    resize,
)
from mobileone.checkpoint.graphs.operators.norms import NORMS
from mobileone.checkpoint.graphs.operators.products import PRODUCTS
from mobileone.checkpoint.graphs.operators.shapes import SHAPES

__all__ = ["HANDLERS"]

HANDLERS: dict[str, Handler] = {
    **ELEMENTWISE,
    **NORMS,
    **PRODUCTS,
    **SHAPES,
    "AveragePool": average_pool,
    "BatchNormalization": batch_norm,
    "Conv": conv,
    "GlobalAveragePool": global_average_pool,
    "MaxPool": max_pool,
    "Resize": resize,
}
