// Lanes of a vector in another order.
#pragma once

#include <cstdint>

#include "mobileone/kernels/simd/simd.hpp"

namespace mobileone::kernels::MOBILEONE_ISA {

#ifdef __AVX512F__
using Indices = __m512i;
inline Indices load_indices(const std::int32_t* p) { return _mm512_loadu_si512(p); }
/// Lane i is lane indices[i].
inline Vec permute(Vec v, Indices indices) { return _mm512_permutexvar_ps(indices, v); }
/// Lanes of `b` where `mask` is -1, of `a` where it is 0.
inline Vec blend(Vec a, Vec b, Indices mask) {
  return _mm512_mask_mov_ps(a, _mm512_movepi32_mask(mask), b);
}
#else
using Indices = __m256i;
inline Indices load_indices(const std::int32_t* p) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
}
inline Vec permute(Vec v, Indices indices) { return _mm256_permutevar8x32_ps(v, indices); }
inline Vec blend(Vec a, Vec b, Indices mask) {
  return _mm256_blendv_ps(a, b, _mm256_castsi256_ps(mask));
}
#endif

}  // namespace mobileone::kernels::MOBILEONE_ISA
