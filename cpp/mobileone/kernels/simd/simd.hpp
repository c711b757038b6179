// One vector type with the same operations for every instruction set. Included only by sources
// named *.simd.cpp, which are compiled once per set with MOBILEONE_ISA naming it: everything lives
// in a namespace of that name, and no standard-library template is instantiated there, so that the
// linker can never merge code of one set into another.
#pragma once

#include <immintrin.h>

#include "mobileone/kernels/isa.hpp"

#ifndef MOBILEONE_ISA
#error "compile *.simd.cpp with -DMOBILEONE_ISA=avx2 or avx512"
#endif

namespace mobileone::kernels::MOBILEONE_ISA {

inline constexpr int kLanes = kTraits.lanes;

#ifdef __AVX512F__
using Vec = __m512;
inline Vec load(const float* p) { return _mm512_loadu_ps(p); }
inline void store(float* p, Vec v) { _mm512_storeu_ps(p, v); }
inline Vec broadcast(float x) { return _mm512_set1_ps(x); }
inline Vec zero() { return _mm512_setzero_ps(); }
inline Vec add(Vec a, Vec b) { return _mm512_add_ps(a, b); }
inline Vec sub(Vec a, Vec b) { return _mm512_sub_ps(a, b); }
inline Vec mul(Vec a, Vec b) { return _mm512_mul_ps(a, b); }
inline Vec div(Vec a, Vec b) { return _mm512_div_ps(a, b); }
inline Vec sqrt(Vec a) { return _mm512_sqrt_ps(a); }
inline Vec fma(Vec a, Vec b, Vec c) { return _mm512_fmadd_ps(a, b, c); }
/// max(a, b); b where either is NaN, so that clamp(floor, x) passes NaN through.
inline Vec max(Vec a, Vec b) { return _mm512_max_ps(a, b); }
inline Vec min(Vec a, Vec b) { return _mm512_min_ps(a, b); }
inline Vec round_even(Vec a) { return _mm512_roundscale_ps(a, 8); }
/// value where condition > 0, else 0.
inline Vec where_positive(Vec condition, Vec value) {
  return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(condition, zero(), _CMP_GT_OQ), value);
}
/// 2^n for integral n in [-126, 127].
inline Vec exp2_int(Vec n) {
  const __m512i biased = _mm512_add_epi32(_mm512_cvtps_epi32(n), _mm512_set1_epi32(127));
  return _mm512_castsi512_ps(_mm512_slli_epi32(biased, 23));
}
#else
using Vec = __m256;
inline Vec load(const float* p) { return _mm256_loadu_ps(p); }
inline void store(float* p, Vec v) { _mm256_storeu_ps(p, v); }
inline Vec broadcast(float x) { return _mm256_set1_ps(x); }
inline Vec zero() { return _mm256_setzero_ps(); }
inline Vec add(Vec a, Vec b) { return _mm256_add_ps(a, b); }
inline Vec sub(Vec a, Vec b) { return _mm256_sub_ps(a, b); }
inline Vec mul(Vec a, Vec b) { return _mm256_mul_ps(a, b); }
inline Vec div(Vec a, Vec b) { return _mm256_div_ps(a, b); }
inline Vec sqrt(Vec a) { return _mm256_sqrt_ps(a); }
inline Vec fma(Vec a, Vec b, Vec c) { return _mm256_fmadd_ps(a, b, c); }
/// max(a, b); b where either is NaN, so that clamp(floor, x) passes NaN through.
inline Vec max(Vec a, Vec b) { return _mm256_max_ps(a, b); }
inline Vec min(Vec a, Vec b) { return _mm256_min_ps(a, b); }
inline Vec round_even(Vec a) { return _mm256_round_ps(a, 8); }
/// value where condition > 0, else 0.
inline Vec where_positive(Vec condition, Vec value) {
  return _mm256_and_ps(_mm256_cmp_ps(condition, zero(), _CMP_GT_OQ), value);
}
/// 2^n for integral n in [-126, 127].
inline Vec exp2_int(Vec n) {
  const __m256i biased = _mm256_cvtps_epi32(_mm256_add_ps(n, _mm256_set1_ps(127.0f)));
  return _mm256_castsi256_ps(_mm256_slli_epi32(biased, 23));
}
#endif

static_assert(sizeof(Vec) == kLanes * sizeof(float));

/// Keeps `v` in a register: without it GCC folds a load that is used three times into three memory
/// operands, and the loads, not the arithmetic, become the limit.
inline Vec in_register(Vec v) {
  asm("" : "+v"(v));
  return v;
}

/// acc += a * b in acc's own register. Left to choose, GCC sometimes lets the sum land in the
/// register of a or b, runs out of registers and spills accumulators inside the loop.
inline void accumulate(Vec& acc, Vec a, Vec b) {
  asm("vfmadd231ps %2, %1, %0" : "+v"(acc) : "v"(a), "v"(b));
}

/// The same with b in memory, where it would be one vector too many for the registers.
inline void accumulate(Vec& acc, Vec a, const Vec* b) {
  asm("vfmadd231ps %2, %1, %0" : "+v"(acc) : "v"(a), "m"(*b));
}

/// Hides where `p` comes from, so that GCC neither hoists the loads through it out of a loop nor
/// turns p + constant into a register of its own for every constant.
inline const float* opaque(const float* p) {
  asm("" : "+r"(p));
  return p;
}

inline void prefetch_l1(const void* p) { _mm_prefetch(static_cast<const char*>(p), _MM_HINT_T0); }
inline void prefetch_l2(const void* p) { _mm_prefetch(static_cast<const char*>(p), _MM_HINT_T1); }

}  // namespace mobileone::kernels::MOBILEONE_ISA
