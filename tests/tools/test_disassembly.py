"""The check that inner loops do not spill: what it must find, on every compiler that is here."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from benchmarks.kernels.check_spills import check, disassemble, inner_loops, main

COMPILERS = [
    name
    for name in ("g++", "clang++", "clang++-14")
    if shutil.which(name) and shutil.which("objdump")
]
pytestmark = pytest.mark.skipif(not COMPILERS, reason="no C++ compiler or no objdump here")

# kPixels x 2 accumulators, two columns of B and one broadcast: 6 x 2 fit sixteen registers, 10 x 2
# do not.
SOURCE = """
#include <immintrin.h>
namespace mobileone::kernels::avx2 {
template <int kPixels, int kVectors>
__attribute__((noinline)) void microkernel(const float* a, const float* b, int k, float* c) {
  __m256 acc[kPixels][kVectors];
#pragma GCC unroll 16
  for (int p = 0; p < kPixels; ++p) {
#pragma GCC unroll 16
    for (int v = 0; v < kVectors; ++v) acc[p][v] = _mm256_setzero_ps();
  }
  for (; k > 0; --k, a += 16, b += 8 * kVectors) {
    __m256 column[kVectors];
#pragma GCC unroll 16
    for (int v = 0; v < kVectors; ++v) column[v] = _mm256_loadu_ps(b + 8 * v);
#pragma GCC unroll 16
    for (int p = 0; p < kPixels; ++p) {
      const __m256 x = _mm256_set1_ps(a[p]);
#pragma GCC unroll 16
      for (int v = 0; v < kVectors; ++v) acc[p][v] = _mm256_fmadd_ps(x, column[v], acc[p][v]);
    }
  }
#pragma GCC unroll 16
  for (int p = 0; p < kPixels; ++p) {
#pragma GCC unroll 16
    for (int v = 0; v < kVectors; ++v) _mm256_storeu_ps(c + 8 * (p * kVectors + v), acc[p][v]);
  }
}
template void microkernel<SIZES>(const float*, const float*, int, float*);
}
"""

# Accumulators in an array with a variable index: they live on the stack, addressed through
# registers that point into it.
INDEXED = """
#include <immintrin.h>
void indexed(const float* a, int k, const int* where, float* c) {
  __m256 acc[4];
  for (int i = 0; i < 4; ++i) acc[i] = _mm256_setzero_ps();
  for (; k > 0; --k, a += 8, ++where) {
    const __m256 x = _mm256_loadu_ps(a);
    acc[*where] = _mm256_fmadd_ps(x, x, acc[*where]);
  }
  for (int i = 0; i < 4; ++i) _mm256_storeu_ps(c + 8 * i, acc[i]);
}
"""


def compile_object(compiler: str, source: str, folder: Path) -> Path:
    (folder / "kernel.cpp").write_text(source)
    target = folder / "kernel.o"
    flags = ["-std=c++20", "-O2", "-mavx2", "-mfma", "-fPIC", "-c"]
    subprocess.run(
        [compiler, *flags, "kernel.cpp", "-o", target.name], cwd=folder, check=True, timeout=60
    )
    return target


def spills(binary: Path) -> list[int]:
    """How many stack operands each inner loop with multiply-adds has."""
    return [len(loop.spills) for function in disassemble(binary) for loop in inner_loops(function)]


@pytest.mark.parametrize("compiler", COMPILERS)
def test_accumulators_that_fit_the_registers_are_clean(compiler: str, tmp_path: Path) -> None:
    assert spills(compile_object(compiler, SOURCE.replace("SIZES", "6, 2"), tmp_path)) == [0]


@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize("sizes", ["8, 2", "10, 2"])
def test_spilled_accumulators_are_found(compiler: str, sizes: str, tmp_path: Path) -> None:
    (found,) = spills(compile_object(compiler, SOURCE.replace("SIZES", sizes), tmp_path))
    assert found > 0


@pytest.mark.parametrize("compiler", COMPILERS)
def test_an_array_on_the_stack_is_found(compiler: str, tmp_path: Path) -> None:
    assert max(spills(compile_object(compiler, INDEXED, tmp_path))) > 0


@pytest.mark.parametrize("compiler", COMPILERS)
def test_kernels_that_are_missing_or_not_unrolled_are_named(compiler: str, tmp_path: Path) -> None:
    # The snippet does one step of k per iteration; the engine's microkernel does four.
    loops, problems = check(compile_object(compiler, SOURCE.replace("SIZES", "6, 2"), tmp_path))
    assert [loop.fmas for loop in loops] == [12]
    assert any(
        "microkernel<6, 2>" in p and "loop of 12 multiply-adds, not 48" in p for p in problems
    )
    for missing in ("avx512: no microkernel", "avx2: no stem_group", "avx2: no depthwise_group"):
        assert any(problem.startswith(missing) for problem in problems)


def test_the_command_fails_where_there_are_problems(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    binary = compile_object(COMPILERS[0], SOURCE.replace("SIZES", "10, 2"), tmp_path)
    assert main([str(binary)]) == 1
    assert "(%rsp)" in capsys.readouterr().out


def test_what_is_not_a_binary_is_an_error(tmp_path: Path) -> None:
    text = tmp_path / "kernel.o"
    text.write_text("not a binary")
    with pytest.raises(ValueError, match="objdump cannot read it"):
        disassemble(text)
