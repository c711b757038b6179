// Loads of a part of a vector.
#pragma once

#include "mobileone/kernels/simd/simd.hpp"

namespace mobileone::kernels::MOBILEONE_ISA {

/// Of p[0] .. p[kLanes - 1] those from `begin` to before `end`, which alone are read, and zeros.
inline Vec load_lanes(const float* p, int begin, int end) {
#ifdef __AVX512F__
  const __m512i lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  const __mmask16 from = _mm512_cmpge_epi32_mask(lane, _mm512_set1_epi32(begin));
  const __mmask16 to = _mm512_cmplt_epi32_mask(lane, _mm512_set1_epi32(end));
  return _mm512_maskz_loadu_ps(static_cast<__mmask16>(from & to), p);
#else
  const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  const __m256i before = _mm256_cmpgt_epi32(_mm256_set1_epi32(begin), lane);
  const __m256i inside = _mm256_cmpgt_epi32(_mm256_set1_epi32(end), lane);
  return _mm256_maskload_ps(p, _mm256_andnot_si256(before, inside));
#endif
}

}  // namespace mobileone::kernels::MOBILEONE_ISA
