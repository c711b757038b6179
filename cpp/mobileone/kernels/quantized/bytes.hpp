// Vectors of bytes and of 32-bit sums of one instruction set: AVX-512 VNNI, with VBMI or without,
// AVX-VNNI or AVX2.
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
MOBILEONE_INLINE void store_floats(float* to, Floats x) { _mm512_storeu_ps(to, x); }
/// The bytes, or float32 numbers, of a block's channels that vector kPart of a pixel's sums has:
/// those of channel_of_sum() in packing.hpp.
template <int kPart>
MOBILEONE_INLINE Sums widen_part(const std::uint8_t* block) {
  return _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(block)));
}
template <int kPart>
MOBILEONE_INLINE Floats load_part(const float* block) {
  return _mm512_loadu_ps(block);
}
template <int kPart>
MOBILEONE_INLINE void store_part(std::uint32_t* block, Sums x) {
  _mm512_storeu_si512(block, x);
}
MOBILEONE_INLINE Sums zero_sums() { return _mm512_setzero_si512(); }
MOBILEONE_INLINE Sums add(Sums a, Sums b) { return _mm512_add_epi32(a, b); }
MOBILEONE_INLINE Sums larger(Sums a, Sums b) { return _mm512_max_epi32(a, b); }
template <int kBits>
MOBILEONE_INLINE Sums shifted_left(Sums x) {
  return _mm512_slli_epi32(x, kBits);
}
/// The first `pixels` pixels of 16 bytes.
MOBILEONE_INLINE void store_pixels(std::uint8_t* to, Bytes x, int pixels) {
  if (pixels == 2) {
    return _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), _mm512_castsi512_si256(x));
  }
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

/// Of each of a pixel's 16 channels the bytes of four neighbours, as a sum takes them.
MOBILEONE_INLINE Bytes four_columns(const std::uint8_t* from) {
#if defined(__AVX512VBMI__)
  const auto four = [](int c) { return c * 0x01010101 + 0x30201000; };
  const __m512i index = _mm512_setr_epi32(four(0), four(1), four(2), four(3), four(4), four(5),
                                          four(6), four(7), four(8), four(9), four(10), four(11),
                                          four(12), four(13), four(14), four(15));
  return _mm512_permutexvar_epi8(index, load(from));
#else
  const __m512i in_lane =
      _mm512_broadcast_i32x4(_mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));
  return _mm512_shuffle_epi8(transpose_lanes(load(from)), in_lane);
#endif
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

MOBILEONE_INLINE Floats hold_floats(const std::byte* packed) { return _mm512_load_ps(packed); }
/// float32(sum) * multiplier, limited; and to the nearest integers, of which those that do not fit
/// 32 bits are the smallest one.
MOBILEONE_INLINE Floats scaled_sums(Sums sum, Floats multiplier) {
  return _mm512_mul_ps(_mm512_cvtepi32_ps(sum), multiplier);
}
/// The same of a sum with the bits of a number (SumScale in packing.hpp).
MOBILEONE_INLINE Floats scaled_numbers(Sums sum, Floats multiplier, Floats offset) {
  return _mm512_fmadd_ps(_mm512_castsi512_ps(sum), multiplier, offset);
}
MOBILEONE_INLINE Floats limited(Floats x, Floats top) { return _mm512_min_ps(x, top); }
MOBILEONE_INLINE Sums nearest(Floats x) { return _mm512_cvtps_epi32(x); }
/// Whether all are less than 1 in magnitude.
MOBILEONE_INLINE bool are_below_one(Floats x) {
  return _mm512_cmp_ps_mask(_mm512_abs_ps(x), _mm512_set1_ps(1.f), _CMP_NLT_UQ) == 0;
}
MOBILEONE_INLINE Floats broadcast_float(float x) { return _mm512_set1_ps(x); }
MOBILEONE_INLINE Sums broadcast_sum(int x) { return _mm512_set1_epi32(x); }
MOBILEONE_INLINE Bytes broadcast_pairs(int x) { return _mm512_set1_epi16(static_cast<short>(x)); }
MOBILEONE_INLINE Bytes broadcast_bytes(int x) { return _mm512_set1_epi8(static_cast<char>(x)); }
/// Of each lane a's, then b's, numbers as 16-bit ones, saturated; and sums of those.
MOBILEONE_INLINE Bytes narrow_sums(Sums a, Sums b) { return _mm512_packs_epi32(a, b); }
MOBILEONE_INLINE Bytes narrow_pairs(Bytes a, Bytes b) { return _mm512_packus_epi16(a, b); }
MOBILEONE_INLINE Bytes add_pairs(Bytes a, Bytes b) { return _mm512_adds_epi16(a, b); }
MOBILEONE_INLINE Bytes larger_bytes(Bytes a, Bytes b) { return _mm512_max_epu8(a, b); }

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
MOBILEONE_INLINE void store_floats(float* to, Floats x) { _mm256_storeu_ps(to, x); }
template <int kPart>
MOBILEONE_INLINE Sums widen_part(const std::uint8_t* block) {
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(block));
  return _mm256_cvtepu8_epi32(_mm_shuffle_epi32(bytes, kPart == 0 ? 0x08 : 0x0d));
}
template <int kPart>
MOBILEONE_INLINE Floats load_part(const float* block) {
  return _mm256_set_m128(_mm_loadu_ps(block + 8 + 4 * kPart), _mm_loadu_ps(block + 4 * kPart));
}
template <int kPart>
MOBILEONE_INLINE void store_part(std::uint32_t* block, Sums x) {
  _mm256_storeu2_m128i(reinterpret_cast<__m128i*>(block + 8 + 4 * kPart),
                       reinterpret_cast<__m128i*>(block + 4 * kPart), x);
}
MOBILEONE_INLINE Sums zero_sums() { return _mm256_setzero_si256(); }
MOBILEONE_INLINE Sums add(Sums a, Sums b) { return _mm256_add_epi32(a, b); }
MOBILEONE_INLINE Sums larger(Sums a, Sums b) { return _mm256_max_epi32(a, b); }
template <int kBits>
MOBILEONE_INLINE Sums shifted_left(Sums x) {
  return _mm256_slli_epi32(x, kBits);
}
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

MOBILEONE_INLINE Floats hold_floats(const std::byte* packed) {
  return _mm256_load_ps(reinterpret_cast<const float*>(packed));
}
MOBILEONE_INLINE Floats scaled_sums(Sums sum, Floats multiplier) {
  return _mm256_mul_ps(_mm256_cvtepi32_ps(sum), multiplier);
}
MOBILEONE_INLINE Floats scaled_numbers(Sums sum, Floats multiplier, Floats offset) {
  return _mm256_fmadd_ps(_mm256_castsi256_ps(sum), multiplier, offset);
}
MOBILEONE_INLINE Floats limited(Floats x, Floats top) { return _mm256_min_ps(x, top); }
MOBILEONE_INLINE Sums nearest(Floats x) { return _mm256_cvtps_epi32(x); }
MOBILEONE_INLINE bool are_below_one(Floats x) {
  const __m256 magnitude = _mm256_andnot_ps(_mm256_set1_ps(-0.f), x);
  return _mm256_movemask_ps(_mm256_cmp_ps(magnitude, _mm256_set1_ps(1.f), _CMP_NLT_UQ)) == 0;
}
MOBILEONE_INLINE Floats broadcast_float(float x) { return _mm256_set1_ps(x); }
MOBILEONE_INLINE Sums broadcast_sum(int x) { return _mm256_set1_epi32(x); }
MOBILEONE_INLINE Bytes broadcast_pairs(int x) { return _mm256_set1_epi16(static_cast<short>(x)); }
MOBILEONE_INLINE Bytes broadcast_bytes(int x) { return _mm256_set1_epi8(static_cast<char>(x)); }
MOBILEONE_INLINE Bytes narrow_sums(Sums a, Sums b) { return _mm256_packs_epi32(a, b); }
MOBILEONE_INLINE Bytes narrow_pairs(Bytes a, Bytes b) { return _mm256_packus_epi16(a, b); }
MOBILEONE_INLINE Bytes add_pairs(Bytes a, Bytes b) { return _mm256_adds_epi16(a, b); }
MOBILEONE_INLINE Bytes larger_bytes(Bytes a, Bytes b) { return _mm256_max_epu8(a, b); }

#endif

inline constexpr int kVectorBytes = sizeof(Bytes);
/// Pixels of 16 channels that a vector of bytes holds.
inline constexpr int kPixelsPerVector = kVectorBytes / kBlock;
/// Packed weights of a vector of sums.
inline constexpr int kWeightBytes = kVectorBytes * kTraits.weight_size;
/// Vectors of sums that a pixel's block of 16 channels takes.
inline constexpr int kVectorsPerBlock = kBlock / kTraits.sums;

MOBILEONE_INLINE Sums load_sums(const std::byte* from) { return load(from); }
/// What packed scales say of their biases, at the line after them.
MOBILEONE_INLINE bool are_numbers(const std::byte* line) {
  std::int32_t flag;
  __builtin_memcpy(&flag, line, sizeof flag);
  return flag != 0;
}

}  // namespace mobileone::kernels::MOBILEONE_ISA
