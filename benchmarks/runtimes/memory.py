"""Peak resident memory of this process; imports nothing, since starts are timed with it."""

from __future__ import annotations

__all__ = ["peak_resident_bytes"]


def peak_resident_bytes() -> int:
    """VmHWM; getrusage would count what the parent had resident at the fork."""
    with open("/proc/self/status") as status:
        for line in status:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    raise OSError("/proc/self/status has no VmHWM line; expected Linux")
