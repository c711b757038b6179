// Vectors of bytes and of 32-bit sums of one instruction set: AVX-512 VNNI, AVX-VNNI or AVX2.
#pragma once

#include <immintrin.h>

#include "mobileone/kernels/quantized/quantized.hpp"
#include "mobileone/kernels/vectorized.hpp"

namespace mobileone::kernels::MOBILEONE_ISA {

#if defined(__AVX512VNNI__)

using Bytes = __m512i;
using Sums = __m512i;
using Floats = __m512;
inline constexpr ByteTraits kTraits{.sums = 16, .pixels = 14, .weight_size = 1};

MOBILEONE_INLINE Bytes load(const void* from) { return _mm512_loadu_si512(from); }
MOBILEONE_INLINE void store(void* to, Bytes x) { _mm512_storeu_si512(to, x); }
MOBILEONE_INLINE Floats load_floats(const float* from) { return _mm512_loadu_ps(from); }
/// As many bytes as a vector has sums.
MOBILEONE_INLINE Sums widen_sums(const std::uint8_t* from) {
  return _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(from)));
}
MOBILEONE_INLINE Floats widen(const std::uint8_t* from) {
  return _mm512_cvtepi32_ps(widen_sums(from));
}
MOBILEONE_INLINE Sums zero_sums() { return _mm512_setzero_si512(); }
MOBILEONE_INLINE Sums add(Sums a, Sums b) { return _mm512_add_epi32(a, b); }
/// The first `pixels` pixels of 16 bytes.
MOBILEONE_INLINE void store_pixels(std::uint8_t* to, Bytes x, int pixels) {
  _mm512_mask_storeu_epi32(to, static_cast<__mmask16>((1u << 4 * pixels) - 1), x);
}
/// One pixel of 16 bytes.
template <int kPixel>
MOBILEONE_INLINE void store_pixel(std::uint8_t* to, Bytes x) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm512_extracti32x4_epi32(x, kPixel));
}
MOBILEONE_INLINE Sums broadcast(const std::uint8_t* four) {
  int bits;
  __builtin_memcpy(&bits, four, 4);
  return _mm512_set1_epi32(bits);
}
MOBILEONE_INLINE Bytes low_bytes(Bytes a, Bytes b) { return _mm512_unpacklo_epi8(a, b); }
MOBILEONE_INLINE Bytes high_bytes(Bytes a, Bytes b) { return _mm512_unpackhi_epi8(a, b); }
MOBILEONE_INLINE Bytes low_pairs(Bytes a, Bytes b) { return _mm512_unpacklo_epi16(a, b); }
MOBILEONE_INLINE Bytes high_pairs(Bytes a, Bytes b) { return _mm512_unpackhi_epi16(a, b); }
/// As many pixels from the `kFirst`th one on, of those of a and then b.
template <int kFirst>
MOBILEONE_INLINE Bytes pixels_from(Bytes a, Bytes b) {
  return _mm512_alignr_epi64(b, a, 2 * kFirst);
}
MOBILEONE_INLINE Bytes even_pixels(Bytes a, Bytes b) { return _mm512_shuffle_i32x4(a, b, 0x88); }
MOBILEONE_INLINE Bytes odd_pixels(Bytes a, Bytes b) { return _mm512_shuffle_i32x4(a, b, 0xdd); }
/// Sixteen-byte lanes of vectors that hold one pixel's channels each, as four pixels.
MOBILEONE_INLINE Bytes transpose_lanes(Bytes x) {
  const __m512i index = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  return _mm512_permutexvar_epi32(index, x);
}

/// Packed weights of a vector of sums, in a register where products take them from one.
using Weights = Bytes;
MOBILEONE_INLINE Weights hold(const std::byte* packed) { return _mm512_load_si512(packed); }
/// Sums plus four products each of unsigned and signed bytes. In assembler: of the builtin GCC 12
/// spills sums in a loop of 28.
MOBILEONE_INLINE Sums dot(Sums sum, Bytes x, Weights weights) {
  asm("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(x), "vm"(weights));
  return sum;
}

/// clamp(rint(float32(sum) * multiplier) + zero_point, least, 255) of four vectors. What is too
/// large for 32 bits is cut off before, what is too small becomes the smallest integer.
class Requantize {
 public:
  explicit Requantize(const ByteRange& range)
      : top_(_mm512_set1_ps(static_cast<float>(255 - range.zero_point))),
        zero_point_(_mm512_set1_epi16(static_cast<short>(range.zero_point))),
        least_(_mm512_set1_epi8(static_cast<char>(range.least))) {}

  MOBILEONE_INLINE Sums round(Sums sum, const std::byte* multiplier) const {
    const __m512 scaled = _mm512_mul_ps(_mm512_cvtepi32_ps(sum), _mm512_load_ps(multiplier));
    return _mm512_cvtps_epi32(_mm512_min_ps(scaled, top_));
  }
  /// Of each lane a's, b's, c's and d's four bytes.
  MOBILEONE_INLINE Bytes pack(Sums a, Sums b, Sums c, Sums d) const {
    const __m512i first = _mm512_adds_epi16(_mm512_packs_epi32(a, b), zero_point_);
    const __m512i second = _mm512_adds_epi16(_mm512_packs_epi32(c, d), zero_point_);
    return _mm512_max_epu8(_mm512_packus_epi16(first, second), least_);
  }

 private:
  __m512 top_;
  __m512i zero_point_, least_;
};

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
/// max((x - offset) * scale * gate, floor), each operation rounded.
MOBILEONE_INLINE Floats scaled(Floats x, float offset, float scale, Floats gate, float floor) {
  const Floats number =
      _mm512_mul_ps(_mm512_sub_ps(x, _mm512_set1_ps(offset)), _mm512_set1_ps(scale));
  return _mm512_max_ps(_mm512_set1_ps(floor), _mm512_mul_ps(number, gate));
}
/// Sums from 0 to 255, a byte each.
MOBILEONE_INLINE void store_narrow(std::uint8_t* to, Sums x) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm512_cvtepi32_epi8(x));
}
/// Three of each in 32 bits, the first one lowest.
MOBILEONE_INLINE Sums merge(Sums a, Sums b, Sums c) {
  return _mm512_or_si512(a, _mm512_or_si512(_mm512_slli_epi32(b, 8), _mm512_slli_epi32(c, 16)));
}

#else

using Bytes = __m256i;
using Sums = __m256i;
using Floats = __m256;
#if defined(__AVXVNNI__)
inline constexpr ByteTraits kTraits{.sums = 8, .pixels = 6, .weight_size = 1};
#else
inline constexpr ByteTraits kTraits{.sums = 8, .pixels = 6, .weight_size = 2};
#endif

MOBILEONE_INLINE Bytes load(const void* from) {
  return _mm256_loadu_si256(static_cast<const __m256i*>(from));
}
MOBILEONE_INLINE Floats load_floats(const float* from) { return _mm256_loadu_ps(from); }
MOBILEONE_INLINE Sums widen_sums(const std::uint8_t* from) {
  return _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(from)));
}
MOBILEONE_INLINE Floats widen(const std::uint8_t* from) {
  return _mm256_cvtepi32_ps(widen_sums(from));
}
MOBILEONE_INLINE Sums zero_sums() { return _mm256_setzero_si256(); }
MOBILEONE_INLINE Sums add(Sums a, Sums b) { return _mm256_add_epi32(a, b); }
MOBILEONE_INLINE Bytes aligned(const std::byte* from) {
  return _mm256_load_si256(reinterpret_cast<const __m256i*>(from));
}
MOBILEONE_INLINE void store(void* to, Bytes x) {
  _mm256_storeu_si256(static_cast<__m256i*>(to), x);
}
template <int kPixel>
MOBILEONE_INLINE void store_pixel(std::uint8_t* to, Bytes x) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm256_extracti128_si256(x, kPixel));
}
MOBILEONE_INLINE void store_pixels(std::uint8_t* to, Bytes x, int pixels) {
  store_pixel<0>(to, x);
  if (pixels > 1) store_pixel<1>(to + kBlock, x);
}
MOBILEONE_INLINE Sums broadcast(const std::uint8_t* four) {
  int bits;
  __builtin_memcpy(&bits, four, 4);
  return _mm256_set1_epi32(bits);
}
MOBILEONE_INLINE Bytes low_bytes(Bytes a, Bytes b) { return _mm256_unpacklo_epi8(a, b); }
MOBILEONE_INLINE Bytes high_bytes(Bytes a, Bytes b) { return _mm256_unpackhi_epi8(a, b); }
MOBILEONE_INLINE Bytes low_pairs(Bytes a, Bytes b) { return _mm256_unpacklo_epi16(a, b); }
MOBILEONE_INLINE Bytes high_pairs(Bytes a, Bytes b) { return _mm256_unpackhi_epi16(a, b); }
template <int kFirst>
MOBILEONE_INLINE Bytes pixels_from(Bytes a, Bytes b) {
  return kFirst == 1 ? _mm256_permute2x128_si256(a, b, 0x21) : b;
}
MOBILEONE_INLINE Bytes even_pixels(Bytes a, Bytes b) {
  return _mm256_permute2x128_si256(a, b, 0x20);
}
MOBILEONE_INLINE Bytes odd_pixels(Bytes a, Bytes b) {
  return _mm256_permute2x128_si256(a, b, 0x31);
}
MOBILEONE_INLINE Bytes transpose_lanes(Bytes x) { return _mm256_permute4x64_epi64(x, 0xd8); }

#if defined(__AVXVNNI__)
using Weights = Bytes;
MOBILEONE_INLINE Weights hold(const std::byte* packed) { return aligned(packed); }
MOBILEONE_INLINE Sums dot(Sums sum, Bytes x, Weights weights) {
  asm("%{vex%} vpdpbusd %2, %1, %0" : "+x"(sum) : "x"(x), "xm"(weights));
  return sum;
}
#else
// In memory: there are not enough registers.
using Weights = const std::byte*;
MOBILEONE_INLINE Weights hold(const std::byte* packed) { return packed; }
// Products of 16-bit integers: those of bytes are added in pairs that saturate. Weights are of the
// even bytes, then of the odd ones. In assembler, or GCC 12 spills sums for products to come.
MOBILEONE_INLINE Sums dot(Sums sum, Bytes x, Weights weights) {
  const auto* const pairs = reinterpret_cast<const __m256i*>(weights);
  const __m256i even = _mm256_and_si256(x, _mm256_set1_epi16(0xff)), odd = _mm256_srli_epi16(x, 8);
  __m256i product;
  asm("vpmaddwd %3, %2, %1\n\tvpaddd %1, %0, %0\n\tvpmaddwd %5, %4, %1\n\tvpaddd %1, %0, %0"
      : "+x"(sum), "=&x"(product)
      : "x"(even), "m"(pairs[0]), "x"(odd), "m"(pairs[1]));
  return sum;
}
#endif

class Requantize {
 public:
  explicit Requantize(const ByteRange& range)
      : top_(_mm256_set1_ps(static_cast<float>(255 - range.zero_point))),
        zero_point_(_mm256_set1_epi16(static_cast<short>(range.zero_point))),
        least_(_mm256_set1_epi8(static_cast<char>(range.least))) {}

  MOBILEONE_INLINE Sums round(Sums sum, const std::byte* multiplier) const {
    const auto* const factor = reinterpret_cast<const float*>(multiplier);
    const __m256 scaled = _mm256_mul_ps(_mm256_cvtepi32_ps(sum), _mm256_load_ps(factor));
    return _mm256_cvtps_epi32(_mm256_min_ps(scaled, top_));
  }
  MOBILEONE_INLINE Bytes pack(Sums a, Sums b, Sums c, Sums d) const {
    const __m256i first = _mm256_adds_epi16(_mm256_packs_epi32(a, b), zero_point_);
    const __m256i second = _mm256_adds_epi16(_mm256_packs_epi32(c, d), zero_point_);
    return _mm256_max_epu8(_mm256_packus_epi16(first, second), least_);
  }

 private:
  __m256 top_;
  __m256i zero_point_, least_;
};

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
MOBILEONE_INLINE Floats scaled(Floats x, float offset, float scale, Floats gate, float floor) {
  const Floats number =
      _mm256_mul_ps(_mm256_sub_ps(x, _mm256_set1_ps(offset)), _mm256_set1_ps(scale));
  return _mm256_max_ps(_mm256_set1_ps(floor), _mm256_mul_ps(number, gate));
}
MOBILEONE_INLINE void store_narrow(std::uint8_t* to, Sums x) {
  const __m128i pairs = _mm_packs_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
  _mm_storel_epi64(reinterpret_cast<__m128i*>(to), _mm_packus_epi16(pairs, pairs));
}
MOBILEONE_INLINE Sums merge(Sums a, Sums b, Sums c) {
  return _mm256_or_si256(a, _mm256_or_si256(_mm256_slli_epi32(b, 8), _mm256_slli_epi32(c, 16)));
}

#endif

inline constexpr int kVectorBytes = sizeof(Bytes);
/// Pixels of 16 channels that a vector of bytes holds.
inline constexpr int kPixelsPerVector = kVectorBytes / kBlock;
/// Packed weights of a vector of sums.
inline constexpr int kWeightBytes = kVectorBytes * kTraits.weight_size;
/// Vectors of sums that a pixel's block of 16 channels takes.
inline constexpr int kVectorsPerBlock = kBlock / kTraits.sums;

MOBILEONE_INLINE Sums load_sums(const std::byte* from) { return load(from); }

}  // namespace mobileone::kernels::MOBILEONE_ISA
