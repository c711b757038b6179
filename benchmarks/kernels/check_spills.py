"""Inner loops of the compiled kernels must keep their vectors in registers.

    python benchmarks/kernels/check_spills.py libmobileone_kernels.a    # a library that was built
    python benchmarks/kernels/check_spills.py --compiler g++ --compiler clang++

Disassembles with objdump and looks at the innermost loops that hold fused multiply-adds. A vector
instruction there that touches the stack is a spilled accumulator: in a loop that should issue two
multiply-adds per cycle, each costs a load or a store slot. Prints the loops; exits with 1 where
there is such an instruction or where a kernel's loop is missing or shorter than its source says.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ISAS = ("avx2", "avx512", "avx512_bf16")
# Not a microkernel: a vector or two per block and image, with the constants of the sigmoid. And an
# emulation, which is not made for speed: it needs registers to take pairs apart.
EXEMPT = re.compile("squeeze_excite|::avx2_bf16::")


@dataclass(frozen=True)
class Instruction:
    address: int
    mnemonic: str
    operands: str

    @property
    def is_fma(self) -> bool:
        return re.match(r"vfn?m(add|sub)|vdpbf16|vpdpbusd", self.mnemonic) is not None

    @property
    def is_vector(self) -> bool:
        return re.search(r"%[xyz]mm", self.operands) is not None

    @property
    def bases(self) -> frozenset[str]:
        """Base registers of the memory operand."""
        return frozenset(re.findall(r"\((%r\w+)", self.operands))

    @property
    def target(self) -> int | None:
        """Where a jump goes."""
        match = re.match(r"([0-9a-f]+) <", self.operands)
        return int(match[1], 16) if match and self.mnemonic.startswith("j") else None


@dataclass
class Function:
    name: str
    code: list[Instruction] = field(default_factory=list)


@dataclass(frozen=True)
class Loop:
    function: str
    fmas: int
    spills: tuple[Instruction, ...]


def disassemble(binary: Path) -> list[Function]:
    """Every function of an object file, a static or a shared library (symbols not stripped)."""
    command = ["objdump", "--disassemble", "--demangle", "--no-show-raw-insn", str(binary)]
    listing = subprocess.run(command, capture_output=True, text=True, check=False)
    if listing.returncode != 0:
        raise ValueError(f"{binary}: objdump cannot read it: {listing.stderr.strip()}")
    functions: list[Function] = []
    for line in listing.stdout.splitlines():
        if match := re.match(r"[0-9a-f]{8,} <(.+)>:$", line):
            functions.append(Function(match[1]))
        elif match := re.match(r"\s*([0-9a-f]+):\s+(\S+)\s*(.*)$", line):
            functions[-1].code.append(Instruction(int(match[1], 16), match[2], match[3]))
    return functions


def stack_users(code: Sequence[Instruction]) -> Iterator[Instruction]:
    """Vector instructions with an operand on the stack, in the order of addresses.

    A register points into the stack from `lea x(%rsp), %r` or `mov %rsp, %r` (the frame pointer,
    an array kept on the stack) until it gets another value; additions move it within the stack.
    """
    stack = {"%rsp"}
    for instruction in code:
        if instruction.is_vector and instruction.bases & stack:
            yield instruction
        written = re.search(r"(?:^|,)(%r\w+)$", instruction.operands)
        if written is None or written[1] == "%rsp" or instruction.mnemonic.startswith(("cmp", "j")):
            continue
        source = instruction.operands.rpartition(",")[0]
        copies = instruction.mnemonic.startswith("mov") and source in stack
        points = instruction.mnemonic.startswith("lea") and bool(instruction.bases & stack)
        moves = instruction.mnemonic.startswith(("add", "sub", "push", "and", "test"))
        if copies or points:
            stack.add(written[1])
        elif not moves:
            stack.discard(written[1])


def returns(function: Function, address: int) -> bool:
    """Whether what begins at `address` runs straight to the function's return."""
    for instruction in function.code:
        if instruction.address >= address:
            if instruction.mnemonic.startswith("ret"):
                return True
            if instruction.mnemonic.startswith("j"):
                return False
    return False


def inner_loops(function: Function) -> list[Loop]:
    """Innermost loops with multiply-adds. A loop is what lies between a backward jump and its
    target, unless that is an exit that several paths share."""
    first = function.code[0].address if function.code else 0
    spans = [
        (i.target, i.address)
        for i in function.code
        if i.target is not None
        and first <= i.target <= i.address
        and not returns(function, i.target)
    ]
    innermost = [
        (begin, end)
        for begin, end in spans
        if not any(begin <= b and e <= end and (b, e) != (begin, end) for b, e in spans)
    ]
    users = list(stack_users(function.code))
    loops = []
    for begin, end in innermost:
        fmas = sum(i.is_fma for i in function.code if begin <= i.address <= end)
        if fmas > 0:
            spills = tuple(i for i in users if begin <= i.address <= end)
            loops.append(Loop(function.name, fmas, spills))
    return loops


@dataclass(frozen=True)
class Kernel:
    """A kernel template, and the multiply-adds that its inner loop unrolls."""

    name: str
    fmas: Callable[[Sequence[int]], int]  # of the template's integers
    isas: Sequence[str] = ISAS  # that have it

    def expected(self, function: str, isa: str) -> int | None:
        """Multiply-adds that the loop of `function` must hold, if it is this kernel's."""
        pattern = rf"::{isa}::(?:\(anonymous namespace\)::)?{self.name}<([\w, ():]+)>\("
        match = re.search(pattern, function)
        return None if match is None else self.fmas([int(i) for i in re.findall(r"\d+", match[1])])


KERNELS = (
    Kernel("microkernel", lambda n: 4 * n[0] * n[1]),  # <pixels, vectors>, four steps of k
    Kernel("token_kernel", lambda n: 4 * n[0] * n[1], ISAS[:2]),  # <rows, vectors>, four steps of k
    Kernel("conv_run", lambda n: 4 * n[0] * n[1]),  # <pixels, vectors>, four steps of k
    Kernel("stem_group", lambda n: 3 * n[0] * n[1]),  # <pixels, vectors>, a row of the 3x3 kernel
    Kernel("window_group", lambda n: 3 * n[0] * n[1], ISAS[:2]),  # <windows, vectors>, a form
    Kernel("strip_outputs", lambda n: 6 * n[0], ISAS[:2]),  # <outputs>, two rows of taps, or more
    Kernel("start_sums", lambda n: 3 * n[0], ISAS[:2]),  # <outputs>, one
    Kernel("depthwise_group", lambda n: 9 * n[1]),  # <stride, outputs>, all taps
    Kernel("depthwise_wide_group", lambda n: n[0] * n[2]),  # <kernel, stride, outputs>, a row
    # Of one row three pixels, seven each.
    Kernel("pair_rows", lambda _: 21, ("avx512", "avx512_bf16")),
)


def check(binary: Path) -> tuple[list[Loop], list[str]]:
    """The loops of `binary`, and what is wrong with them."""
    functions = disassemble(binary)
    loops = [
        loop
        for function in functions
        if not EXEMPT.search(function.name)
        for loop in inner_loops(function)
    ]
    problems = [
        f"{loop.function}: {i.address:x}: {i.mnemonic} {i.operands}"
        for loop in loops
        for i in loop.spills
    ]
    for isa in ISAS:
        for kernel in KERNELS:
            instances = 0
            for name in {function.name for function in functions}:
                if (expected := kernel.expected(name, isa)) is None:
                    continue
                instances += 1
                longest = max((loop.fmas for loop in loops if loop.function == name), default=0)
                if longest < expected:
                    problems.append(f"{name}: loop of {longest} multiply-adds, not {expected}")
            if instances == 0 and isa in kernel.isas:
                problems.append(f"{isa}: no {kernel.name} in {binary}")
    return loops, problems


def build(compiler: str, folder: Path) -> Path:
    """The kernels' static library, made by `compiler` with the flags of the project."""
    source = ROOT / "cpp" / "mobileone" / "kernels"
    (folder / "CMakeLists.txt").write_text(
        "cmake_minimum_required(VERSION 3.24)\nproject(kernels LANGUAGES CXX)\n"
        f'add_subdirectory("{source.as_posix()}" kernels)\n',
        encoding="utf-8",
    )
    configure = ["cmake", "-S", str(folder), "-B", str(folder / "build")]
    configure += [f"-DCMAKE_CXX_COMPILER={compiler}", "-DCMAKE_BUILD_TYPE=Release"]
    make = ["cmake", "--build", str(folder / "build"), "--parallel", "2"]
    for command in (configure, [*make, "--target", "mobileone_kernels"]):
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        if result.returncode != 0:
            raise ValueError(f"{compiler}: {' '.join(command)}:\n{result.stdout}{result.stderr}")
    return folder / "build" / "kernels" / "libmobileone_kernels.a"


def report(label: str, binary: Path) -> bool:
    loops, problems = check(binary)
    fmas = sum(loop.fmas for loop in loops)
    print(f"{label}: {len(loops)} inner loops with {fmas} multiply-adds, {len(problems)} problems")
    for problem in problems:
        print(f"  {problem}")
    return not problems


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Stack traffic in the kernels' inner loops.")
    parser.add_argument("libraries", nargs="*", type=Path, help="libmobileone_kernels.a")
    parser.add_argument("--compiler", action="append", default=[], help="build with it, then check")
    options = parser.parse_args(arguments)
    if not options.libraries and not options.compiler:
        parser.error("no library and no --compiler")
    clean = [report(str(library), library) for library in options.libraries]
    for compiler in options.compiler:
        with tempfile.TemporaryDirectory() as folder:
            clean.append(report(compiler, build(compiler, Path(folder))))
    return 0 if all(clean) else 1


if __name__ == "__main__":
    sys.exit(main())
