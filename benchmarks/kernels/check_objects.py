"""Checks the compiled SIMD kernels, object file by object file.

1. No innermost loop of multiply-adds stores a vector on the stack: a spilled accumulator costs more
   than any tuning gains. (Constants that are read from there are harmless.)
2. Every symbol that an object of one instruction set defines lives in that set's namespace. The
   linker could merge an inline function outside it with the copy of another set, and then run
   instructions that the CPU does not have.

    python benchmarks/kernels/check_objects.py BUILD_DIRECTORY
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

MIN_MULTIPLY_ADDS = 8
_FUNCTION = re.compile(r"^[0-9a-f]+ <(.*)>:$")
_INSTRUCTION = re.compile(r"^\s+([0-9a-f]+):\s+(.*)$")
_JUMP = re.compile(r"^j\w+\s+([0-9a-f]+)")
_STACK_STORE = re.compile(r"%[yz]mm\d+,.*\(%r[sb]p[,)]")


@dataclass
class Function:
    """A disassembled function: addresses and instruction texts, in order."""

    name: str
    addresses: list[int] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)

    def innermost_loops(self) -> list[tuple[int, int]]:
        """First and last instruction of every backward jump's range that contains no other."""
        position = {address: i for i, address in enumerate(self.addresses)}
        loops = set()
        for i, text in enumerate(self.texts):
            jump = _JUMP.match(text)
            if jump and (start := position.get(int(jump[1], 16), i + 1)) <= i:
                loops.add((start, i))
        return [
            (a, b)
            for a, b in loops
            if not any((c, d) != (a, b) and a <= c and d <= b for c, d in loops)
        ]

    def spills(self) -> Iterator[str]:
        """Vector stores to the stack in the innermost loops that multiply and add."""
        for start, end in self.innermost_loops():
            loop = self.texts[start : end + 1]
            if sum("fmadd" in text for text in loop) >= MIN_MULTIPLY_ADDS:
                yield from (text for text in loop if _STACK_STORE.search(text))


def functions(path: Path) -> list[Function]:
    """Disassembles an object file."""
    command = ["objdump", "-d", "-C", "--no-show-raw-insn", str(path)]
    listing = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found: list[Function] = []
    for line in listing.splitlines():
        if name := _FUNCTION.match(line):
            found.append(Function(name[1]))
        elif found and (instruction := _INSTRUCTION.match(line)):
            found[-1].addresses.append(int(instruction[1], 16))
            found[-1].texts.append(instruction[2].strip())
    return found


def foreign_symbols(path: Path, isa: str) -> list[str]:
    """Symbols that the object defines for the linker outside mobileone::kernels::<isa>."""
    command = ["nm", "-C", "--defined-only", "--extern-only", str(path)]
    listing = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    names = [line.split(" ", 2)[2] for line in listing.splitlines()]
    return [name for name in names if f"mobileone::kernels::{isa}::" not in name]


def check(path: Path, isa: str) -> tuple[int, list[str]]:
    """Number of multiply-add loops seen in one object, and what is wrong with it."""
    problems = [
        f"{path.name} [{isa}]: {name} is not in its namespace"
        for name in foreign_symbols(path, isa)
    ]
    loops = 0
    for function in functions(path):
        loops += sum(
            sum("fmadd" in text for text in function.texts[a : b + 1]) >= MIN_MULTIPLY_ADDS
            for a, b in function.innermost_loops()
        )
        spilled = list(function.spills())
        if spilled:
            problems.append(
                f"{path.name} [{isa}]: {function.name} spills: {'; '.join(spilled[:3])}"
            )
    return loops, problems


def main(argv: list[str] | None = None) -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("build", type=Path, help="CMake build directory")
    build: Path = parser.parse_args(argv).build
    problems: list[str] = []
    loops = 0
    for isa in ("avx2", "avx512"):
        objects = sorted(build.glob(f"**/mobileone_kernels_{isa}.dir/arch/*.o"))
        if not objects:
            parser.error(f"{build}: no objects of mobileone_kernels_{isa}; build that target first")
        for path in objects:
            seen, wrong = check(path, isa)
            loops += seen
            problems += wrong
    print(f"{loops} multiply-add loops, {len(problems)} problems")
    print("\n".join(problems))
    return 1 if problems or loops == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
