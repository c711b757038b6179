// What a projection's operands are made of: float32, or pairs of bfloat16 in the place of a float.
#pragma once

#include <type_traits>

#include "mobileone/kernels/layout.hpp"
#include "mobileone/kernels/simd/simd.hpp"

namespace mobileone::kernels::MOBILEONE_ISA {

struct Float32 {
  static constexpr int kBlockLanes = kBlock;  // floats of a pixel's block of channels
  static void accumulate(Vec& acc, Vec a, Vec b) { MOBILEONE_ISA::accumulate(acc, a, b); }
  /// b in memory, where it would be one vector too many for the registers.
  static void accumulate(Vec& acc, Vec a, const Vec* b) { MOBILEONE_ISA::accumulate(acc, a, b); }
};

struct Bfloat16 {
  static constexpr int kBlockLanes = kBlock / 2;

  /// acc += odd products, then even ones; see Precision::kBfloat16.
  static void accumulate(Vec& acc, Vec a, Vec b) {
#ifdef __AVX512BF16__
    asm("vdpbf16ps %2, %1, %0" : "+v"(acc) : "v"(a), "v"(b));
#elif !defined(__AVX512F__)
    const __m256i x = _mm256_castps_si256(a), y = _mm256_castps_si256(b);
    const __m256i upper = _mm256_set1_epi32(static_cast<int>(0xffff0000u));
    acc = fma(_mm256_castsi256_ps(_mm256_and_si256(x, upper)),
              _mm256_castsi256_ps(_mm256_and_si256(y, upper)), acc);
    acc = fma(_mm256_castsi256_ps(_mm256_slli_epi32(x, 16)),
              _mm256_castsi256_ps(_mm256_slli_epi32(y, 16)), acc);
#else
    static_assert(kTraits.per_lane == 1, "AVX-512 without BF16 has no kernels of bfloat16");
    (void)acc, (void)a, (void)b;
#endif
  }
  static void accumulate(Vec& acc, Vec a, const Vec* b) {
    accumulate(acc, a, load(reinterpret_cast<const float*>(b)));
  }
};

/// What this build has: of numbers, or of pairs.
template <typename Numbers, typename Pairs>
using OfElement = std::conditional_t<kTraits.per_lane == 1, Numbers, Pairs>;

/// Of T and of its panels.
using TileElement = OfElement<Float32, Bfloat16>;

/// A vector's numbers as bfloat16, to kLanes / 2 floats at `dst`; rounded as to_bfloat16().
inline void store_bfloat16(float* dst, Vec v) {
#ifdef __AVX512BF16__
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(dst),
                      reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(v)));
#elif !defined(__AVX512F__)
  const __m256i bits = _mm256_castps_si256(v);
  const __m256i half = _mm256_set1_epi32(0x7fff), one = _mm256_set1_epi32(1);
  const __m256i last = _mm256_and_si256(_mm256_srli_epi32(bits, 16), one);
  const __m256i rounded = _mm256_add_epi32(bits, _mm256_add_epi32(half, last));
  const __m256i exponent = _mm256_and_si256(bits, _mm256_set1_epi32(0x7f800000));
  const __m256i subnormal = _mm256_cmpeq_epi32(exponent, _mm256_setzero_si256());
  const __m256i sign = _mm256_and_si256(bits, _mm256_set1_epi32(static_cast<int>(0x80000000u)));
  const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(v, v, _CMP_UNORD_Q));
  const __m256i quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x00400000));
  __m256i result = _mm256_blendv_epi8(rounded, sign, subnormal);
  result = _mm256_srli_epi32(_mm256_blendv_epi8(result, quiet, nan), 16);
  const __m128i low = _mm256_castsi256_si128(result), high = _mm256_extracti128_si256(result, 1);
  _mm_storeu_si128(reinterpret_cast<__m128i*>(dst), _mm_packus_epi32(low, high));
#else
  static_assert(kTraits.per_lane == 1, "AVX-512 without BF16 has no kernels of bfloat16");
  (void)dst, (void)v;
#endif
}

/// Of two vectors of pairs their even numbers: pairs of one of a and one of b.
inline Vec even_numbers(Vec a, Vec b) {
#ifdef __AVX512F__
  const __m512i upper = _mm512_slli_epi32(_mm512_castps_si512(b), 16);
  return _mm512_castsi512_ps(_mm512_mask_blend_epi16(0xaaaaaaaau, _mm512_castps_si512(a), upper));
#else
  const __m256i upper = _mm256_slli_epi32(_mm256_castps_si256(b), 16);
  return _mm256_castsi256_ps(_mm256_blend_epi16(_mm256_castps_si256(a), upper, 0xaa));
#endif
}

/// dst = src, `count` numbers (a multiple of kBlock), as T holds them.
inline void store_tile(const float* src, float* dst, std::ptrdiff_t count) {
  for (std::ptrdiff_t i = 0; i < count; i += kLanes) {
    if constexpr (kTraits.per_lane == 2) {
      store_bfloat16(dst + i / 2, load(src + i));
    } else {
      store(dst + i, load(src + i));
    }
  }
}

}  // namespace mobileone::kernels::MOBILEONE_ISA
