"""Our own engine on oneDNN primitives alone."""

from __future__ import annotations

from benchmarks.runtimes.engines import mobileone_engine

DISTRIBUTION = mobileone_engine.DISTRIBUTION
write = mobileone_engine.write


class Session(mobileone_engine.Session):
    """A compiled model without the fused kernels."""

    backend = "onednn"
