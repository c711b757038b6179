"""Every operator of PyTorch that programs may call, by its name without its overload."""

from __future__ import annotations

from mobileone.checkpoint.graphs.aten.elementwise import ELEMENTWISE
from mobileone.checkpoint.graphs.aten.maps import MAPS
from mobileone.checkpoint.graphs.aten.norms import NORMS
from mobileone.checkpoint.graphs.aten.products import PRODUCTS
from mobileone.checkpoint.graphs.aten.shapes import SHAPES
from mobileone.checkpoint.graphs.calls import Operator

__all__ = ["ATEN"]

ATEN: dict[str, Operator] = {**ELEMENTWISE, **MAPS, **NORMS, **PRODUCTS, **SHAPES}
