#include "mobileone/kernels/image/resample.hpp"

#include "mobileone/kernels/simd/simd.hpp"

namespace mobileone::kernels::MOBILEONE_ISA {
namespace {

constexpr int kBytes = 16;
static_assert(kBytes == kResampleRows * kPixelBytes);

#define MOBILEONE_ALWAYS_INLINE inline __attribute__((always_inline))

MOBILEONE_ALWAYS_INLINE __m128i load_bytes(const std::uint8_t* from) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from));
}

// Sixteen sums.
#ifdef __AVX512F__
class Sums {
 public:
  MOBILEONE_ALWAYS_INLINE void start() { sum_ = _mm512_set1_epi32(1 << (kResampleBits - 1)); }
  MOBILEONE_ALWAYS_INLINE void add(const std::uint8_t* bytes, std::int32_t weight) {
    const __m512i numbers = _mm512_cvtepu8_epi32(load_bytes(bytes));
    sum_ = _mm512_add_epi32(sum_, _mm512_mullo_epi32(numbers, _mm512_set1_epi32(weight)));
  }
  MOBILEONE_ALWAYS_INLINE void write(std::uint8_t* to) const {
    const __m512i shifted = _mm512_srai_epi32(sum_, kResampleBits);
    const __m512i least = _mm512_max_epi32(shifted, _mm512_setzero_si512());
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to), _mm512_cvtusepi32_epi8(least));
  }

 private:
  __m512i sum_;
};
#else
class Sums {
 public:
  MOBILEONE_ALWAYS_INLINE void start() {
    low_ = high_ = _mm256_set1_epi32(1 << (kResampleBits - 1));
  }
  MOBILEONE_ALWAYS_INLINE void add(const std::uint8_t* bytes, std::int32_t weight) {
    const __m128i both = load_bytes(bytes);
    const __m256i factor = _mm256_set1_epi32(weight);
    const __m256i low = _mm256_cvtepu8_epi32(both);
    const __m256i high = _mm256_cvtepu8_epi32(_mm_unpackhi_epi64(both, both));
    low_ = _mm256_add_epi32(low_, _mm256_mullo_epi32(low, factor));
    high_ = _mm256_add_epi32(high_, _mm256_mullo_epi32(high, factor));
  }
  MOBILEONE_ALWAYS_INLINE void write(std::uint8_t* to) const {
    // Packing cuts to 16 bits with sign, then to 8 without; quarters come out in another order.
    const __m256i words = _mm256_packs_epi32(_mm256_srai_epi32(low_, kResampleBits),
                                             _mm256_srai_epi32(high_, kResampleBits));
    const __m256i ordered = _mm256_permute4x64_epi64(words, 0xd8);
    _mm_storeu_si128(
        reinterpret_cast<__m128i*>(to),
        _mm_packus_epi16(_mm256_castsi256_si128(ordered), _mm256_extracti128_si256(ordered, 1)));
  }

 private:
  __m256i low_, high_;
};
#endif

void along_rows(const Resample& side, const std::uint8_t* pixels, int channels, int rows,
                std::uint8_t* to, std::int64_t row) {
  const std::int64_t size = side.outputs * channels;
  for (std::int64_t x = 0; x < side.outputs; ++x) {
    const std::int32_t* const weights = side.weights + x * side.most;
    const std::uint8_t* from = pixels + kBytes * side.first[x];
    const std::int64_t count = side.count[x];
    Sums sums;
    sums.start();
    for (std::int64_t i = 0; i < count; ++i, from += kBytes) sums.add(from, weights[i]);
    std::uint8_t bytes[kBytes];
    sums.write(bytes);
    // Bytes too many are written over by the next pixel.
    std::uint8_t* at = to + x * channels;
    const bool inside = x * channels + kPixelBytes <= size;
    for (int i = 0; i < rows; ++i, at += row) {
      const std::uint8_t* const own = bytes + kPixelBytes * i;
      if (inside) {
        __builtin_memcpy(at, own, kPixelBytes);
      } else {
        for (int c = 0; c < channels; ++c) at[c] = own[c];
      }
    }
  }
}

// The last vectors of a row begin where they still fit.
void across_rows(const std::uint8_t* from, std::int64_t size, const std::int32_t* weights,
                 std::int64_t count, std::uint8_t* to) {
  constexpr int kGroup = 4;
  constexpr std::int64_t kStep = kGroup * kBytes;
  if (size < kStep) return plain::kResample.across_rows(from, size, weights, count, to);
  for (std::int64_t at = 0; at < size; at += kStep) {
    const std::int64_t begin = at + kStep <= size ? at : size - kStep;
    Sums sums[kGroup];
#pragma GCC unroll 4
    for (int k = 0; k < kGroup; ++k) sums[k].start();
    const std::uint8_t* row = from + begin;
    for (std::int64_t i = 0; i < count; ++i, row += size) {
#pragma GCC unroll 4
      for (int k = 0; k < kGroup; ++k) sums[k].add(row + k * kBytes, weights[i]);
    }
#pragma GCC unroll 4
    for (int k = 0; k < kGroup; ++k) sums[k].write(to + begin + k * kBytes);
  }
}

}  // namespace

const ResampleKernels kResample{along_rows, across_rows};

}  // namespace mobileone::kernels::MOBILEONE_ISA
