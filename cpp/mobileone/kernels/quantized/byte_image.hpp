// From float32 planes to pixels of bytes, and those as the first convolution takes them.
#pragma once

#include "mobileone/kernels/quantized/bytes.hpp"

namespace mobileone::kernels::MOBILEONE_ISA {

#if defined(__AVX512VNNI__)

/// clamp(rint(x / scale) + zero_point, 0, 255), and the zero point for NaN. The quotient is a
/// product with the reciprocal, corrected by its remainder: the float32 one exactly (Markstein
/// 1990) as long as nothing leaves the normal numbers, for scales from 2^-80 to 2^80.
class Quantizer {
 public:
  Quantizer(float scale, int zero_point)
      : scale_(_mm512_set1_ps(scale)),
        reciprocal_(_mm512_set1_ps(1.f / scale)),
        least_(_mm512_set1_ps(static_cast<float>(-zero_point) * scale)),
        most_(_mm512_set1_ps(static_cast<float>(255 - zero_point) * scale)),
        zero_point_(_mm512_set1_epi32(zero_point)) {}

  MOBILEONE_INLINE Sums operator()(Floats x) const {
    const __mmask16 number = _mm512_cmp_ps_mask(x, x, _CMP_ORD_Q);
    const __m512 clamped = _mm512_min_ps(_mm512_maskz_max_ps(number, x, least_), most_);
    const __m512 near = _mm512_mul_ps(clamped, reciprocal_);
    const __m512 rest = _mm512_fnmadd_ps(near, scale_, clamped);
    const __m512 quotient = _mm512_fmadd_ps(rest, reciprocal_, near);
    return _mm512_add_epi32(_mm512_cvtps_epi32(quotient), zero_point_);
  }

 private:
  __m512 scale_, reciprocal_, least_, most_;
  __m512i zero_point_;
};

/// Three of each in 32 bits, the first one lowest.
MOBILEONE_INLINE Sums merge(Sums a, Sums b, Sums c) {
  return _mm512_or_si512(a, _mm512_or_si512(_mm512_slli_epi32(b, 8), _mm512_slli_epi32(c, 16)));
}
template <int kBits>
MOBILEONE_INLINE Sums shifted_right(Sums x) {
  return _mm512_srli_epi32(x, kBits);
}
MOBILEONE_INLINE Sums common_bits(Sums a, Sums b) { return _mm512_and_si512(a, b); }
MOBILEONE_INLINE Sums all_bits(Sums a, Sums b) { return _mm512_or_si512(a, b); }
/// The first, third, ... of a's and then b's; and the others.
MOBILEONE_INLINE Sums even_sums(Sums a, Sums b) {
  const __m512i index =
      _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
  return _mm512_permutex2var_epi32(a, index, b);
}
MOBILEONE_INLINE Sums odd_sums(Sums a, Sums b) {
  const __m512i index =
      _mm512_setr_epi32(1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31);
  return _mm512_permutex2var_epi32(a, index, b);
}

#else

class Quantizer {
 public:
  Quantizer(float scale, int zero_point)
      : scale_(_mm256_set1_ps(scale)),
        reciprocal_(_mm256_set1_ps(1.f / scale)),
        least_(_mm256_set1_ps(static_cast<float>(-zero_point) * scale)),
        most_(_mm256_set1_ps(static_cast<float>(255 - zero_point) * scale)),
        zero_point_(_mm256_set1_epi32(zero_point)) {}

  MOBILEONE_INLINE Sums operator()(Floats x) const {
    const __m256 number = _mm256_and_ps(_mm256_cmp_ps(x, x, _CMP_ORD_Q), x);
    const __m256 clamped = _mm256_min_ps(_mm256_max_ps(number, least_), most_);
    const __m256 near = _mm256_mul_ps(clamped, reciprocal_);
    const __m256 rest = _mm256_fnmadd_ps(near, scale_, clamped);
    const __m256 quotient = _mm256_fmadd_ps(rest, reciprocal_, near);
    return _mm256_add_epi32(_mm256_cvtps_epi32(quotient), zero_point_);
  }

 private:
  __m256 scale_, reciprocal_, least_, most_;
  __m256i zero_point_;
};

MOBILEONE_INLINE Sums merge(Sums a, Sums b, Sums c) {
  return _mm256_or_si256(a, _mm256_or_si256(_mm256_slli_epi32(b, 8), _mm256_slli_epi32(c, 16)));
}
template <int kBits>
MOBILEONE_INLINE Sums shifted_right(Sums x) {
  return _mm256_srli_epi32(x, kBits);
}
MOBILEONE_INLINE Sums common_bits(Sums a, Sums b) { return _mm256_and_si256(a, b); }
MOBILEONE_INLINE Sums all_bits(Sums a, Sums b) { return _mm256_or_si256(a, b); }
MOBILEONE_INLINE Sums even_sums(Sums a, Sums b) {
  const __m256 each = _mm256_shuffle_ps(_mm256_castsi256_ps(a), _mm256_castsi256_ps(b), 0x88);
  return _mm256_permute4x64_epi64(_mm256_castps_si256(each), 0xd8);
}
MOBILEONE_INLINE Sums odd_sums(Sums a, Sums b) {
  const __m256 each = _mm256_shuffle_ps(_mm256_castsi256_ps(a), _mm256_castsi256_ps(b), 0xdd);
  return _mm256_permute4x64_epi64(_mm256_castps_si256(each), 0xd8);
}

#endif

/// A 3x3 window's 27 bytes in seven fours: of its first and second row a pixel each, whose fourth
/// byte is the third row's red or green, and the third row's blue.
struct WindowRows {
  std::uint32_t *first, *second, *blue;

  /// Of three rows of pixels of three bytes and a 0; `blue` of every other column.
  MOBILEONE_INLINE void fill(const std::uint32_t* const (&rows)[3], int columns) const {
    const Sums green = broadcast_sum(0xff00), red_place = broadcast_sum(0xff0000);
    for (int x = 0; x < columns; x += kTraits.sums) {
      const Sums below = load(rows[2] + x);
      store(first + x, all_bits(load(rows[0] + x), shifted_left<24>(below)));
      store(second + x, all_bits(load(rows[1] + x), shifted_left<16>(common_bits(below, green))));
    }
    for (int x = 0; 2 * x < columns; x += kTraits.sums) {
      const std::uint32_t* const from = rows[2] + 2 * x;
      const Sums near = load(from), far = load(from + kTraits.sums);
      const Sums right = even_sums(load(from + 2), load(from + 2 + kTraits.sums));
      const Sums two = all_bits(shifted_right<16>(even_sums(near, far)),
                                common_bits(shifted_right<8>(odd_sums(near, far)), green));
      store(blue + x, all_bits(two, common_bits(right, red_place)));
    }
  }
};

}  // namespace mobileone::kernels::MOBILEONE_ISA
