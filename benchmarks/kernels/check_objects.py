"""Checks that every symbol of one instruction set's kernels lives in that set's namespace.

The linker could merge an inline function outside it with the copy of another set, and then run
instructions that the CPU does not have. (check_spills.py looks at the machine code.)

    python benchmarks/kernels/check_objects.py BUILD_DIRECTORY
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path


def foreign_symbols(path: Path, isa: str) -> list[str]:
    """Symbols that the object defines for the linker outside mobileone::kernels::<isa>."""
    command = ["nm", "-C", "--defined-only", "--extern-only", str(path)]
    listing = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    names = [line.split(" ", 2)[2] for line in listing.splitlines()]
    return [name for name in names if f"mobileone::kernels::{isa}::" not in name]


def main(argv: list[str] | None = None) -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("build", type=Path, help="CMake build directory")
    build: Path = parser.parse_args(argv).build
    problems: list[str] = []
    count = 0
    sets = (
        "avx2",
        "avx512",
        "avx2_bf16",
        "avx512_bf16",
        "avx2_madd",
        "avx_vnni",
        "avx512_vnni",
        "avx512_vbmi",
    )
    for isa in sets:
        objects = sorted(build.glob(f"**/mobileone_kernels_{isa}.dir/**/*.simd.cpp.o"))
        if not objects:
            parser.error(f"{build}: no objects of mobileone_kernels_{isa}; build that target first")
        count += len(objects)
        problems += [
            f"{path.name} [{isa}]: {name} is not in its namespace"
            for path in objects
            for name in foreign_symbols(path, isa)
        ]
    print("\n".join([f"{count} objects, {len(problems)} foreign symbols", *problems]))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
