// Every other lane of two vectors, and a shift by one.
#pragma once

#include "mobileone/kernels/simd/simd.hpp"

namespace mobileone::kernels::MOBILEONE_ISA {

/// Of lanes 0, 1, .. of `a` and then of `b`, those of even numbers.
inline Vec even_lanes(Vec a, Vec b) {
#ifdef __AVX512F__
  const __m512i from = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
  return _mm512_permutex2var_ps(a, from, b);
#else
  const __m256i pairs = _mm256_castps_si256(_mm256_shuffle_ps(a, b, 0x88));
  return _mm256_castsi256_ps(_mm256_permute4x64_epi64(pairs, 0xd8));
#endif
}

/// Those of odd numbers.
inline Vec odd_lanes(Vec a, Vec b) {
#ifdef __AVX512F__
  const __m512i from = _mm512_setr_epi32(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
  return _mm512_permutex2var_ps(a, from, b);
#else
  const __m256i pairs = _mm256_castps_si256(_mm256_shuffle_ps(a, b, 0xdd));
  return _mm256_castsi256_ps(_mm256_permute4x64_epi64(pairs, 0xd8));
#endif
}

/// The last lane of `before`, then all but the last of `v`.
inline Vec shift_in(Vec before, Vec v) {
#ifdef __AVX512F__
  return _mm512_castsi512_ps(
      _mm512_alignr_epi32(_mm512_castps_si512(v), _mm512_castps_si512(before), 15));
#else
  const __m256 middle = _mm256_permute2f128_ps(before, v, 0x21);
  return _mm256_castsi256_ps(
      _mm256_alignr_epi8(_mm256_castps_si256(v), _mm256_castps_si256(middle), 12));
#endif
}

}  // namespace mobileone::kernels::MOBILEONE_ISA
