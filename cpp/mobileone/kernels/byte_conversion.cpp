#include "mobileone/kernels/byte_conversion.hpp"

#include <immintrin.h>

#include <algorithm>
#include <cstring>

#include "mobileone/kernels/byte_rounding.hpp"
#include "mobileone/kernels/isa.hpp"

namespace mobileone::kernels {

namespace {

// Calls run(offset of the first pixel, block) for each row.
template <typename Run>
void for_rows(const ByteMap& map, int begin, int end, const Run& run) {
  for (int row = begin; row < end; ++row) {
    const int block = row / map.height;
    run(map.offset(block, row % map.height, 0), block);
  }
}

// Whole vectors of 64 bytes; returns how many bytes that were. Two tables of 128 in registers.
[[gnu::target("avx512f,avx512bw,avx512vbmi")]] std::ptrdiff_t look_up_vectors(
    const ByteTable& table, const std::uint8_t* src, std::uint8_t* dst, std::ptrdiff_t bytes) {
  const __m512i a = _mm512_loadu_si512(table.data()), b = _mm512_loadu_si512(table.data() + 64);
  const __m512i c = _mm512_loadu_si512(table.data() + 128);
  const __m512i d = _mm512_loadu_si512(table.data() + 192);
  std::ptrdiff_t i = 0;
  for (; i + 64 <= bytes; i += 64) {
    const __m512i q = _mm512_loadu_si512(src + i);
    const __m512i low = _mm512_permutex2var_epi8(a, q, b);
    const __m512i high = _mm512_permutex2var_epi8(c, q, d);
    _mm512_storeu_si512(dst + i, _mm512_mask_blend_epi8(_mm512_movepi8_mask(q), low, high));
  }
  return i;
}

bool has_byte_tables() {
  static const bool has = vectors() == Vectors::avx512 && __builtin_cpu_supports("avx512vbmi") != 0;
  return has;
}

}  // namespace

void bytes_to_floats(const ByteMap& map, const ByteMeaning& meaning, const std::uint8_t* src,
                     float* dst, int begin, int end) {
  const int zero_point = meaning.zero_point, used = map.channels % kBlock;
  const float scale = meaning.scale;
  const std::ptrdiff_t count = std::ptrdiff_t{map.width} * kBlock;
  for_rows(map, begin, end, [&](std::ptrdiff_t at, int block) {
    const std::uint8_t* const from = src + at;
    float* const to = dst + at;
    vectorized([&]() MOBILEONE_INLINE_LAMBDA {
#pragma GCC ivdep
      for (std::ptrdiff_t i = 0; i < count; ++i) {
        to[i] = static_cast<float>(int{from[i]} - zero_point) * scale;
      }
    });
    if (used == 0 || block + 1 < map.blocks()) return;
    for (int x = 0; x < map.width; ++x)
      std::fill(to + x * kBlock + used, to + (x + 1) * kBlock, 0.f);
  });
}

void floats_to_bytes(const ByteMeaning& meaning, const float* src, std::uint8_t* dst,
                     std::ptrdiff_t count) {
  const ByteRounding range{static_cast<float>(meaning.zero_point), 0.f};
  const float scale = meaning.scale;
  vectorized([&]() MOBILEONE_INLINE_LAMBDA {
    // Of its own: what bytes are written to might be what was captured.
    const ByteRounding rounding = range;
    const float divisor = scale, *const from = src;
    std::uint8_t* const to = dst;
    const std::ptrdiff_t last = count;
#pragma GCC ivdep
    for (std::ptrdiff_t i = 0; i < last; ++i) {
      to[i] = static_cast<std::uint8_t>(static_cast<int>(rounding.round(from[i] / divisor)));
    }
  });
}

void floats_to_bytes(const ByteMap& map, const ByteMeaning& meaning, const float* src,
                     std::uint8_t* dst, int begin, int end) {
  for_rows(map, begin, end, [&](std::ptrdiff_t at, int) {
    floats_to_bytes(meaning, src + at, dst + at, std::ptrdiff_t{map.width} * kBlock);
  });
}

void bytes_to_tokens(const ByteMap& map, const ByteMeaning& meaning, const std::uint8_t* src,
                     float* dst, int begin, int end) {
  const int zero_point = meaning.zero_point, width = map.width;
  const float scale = meaning.scale;
  const std::ptrdiff_t step = map.channels;
  for (int block = begin; block < end; ++block) {
    const std::uint8_t* const from = src + map.offset(block, 0, 0);
    float* const to = dst + std::ptrdiff_t{block} * kBlock;
    const int used = std::min(kBlock, map.channels - block * kBlock);
    vectorized([&]() MOBILEONE_INLINE_LAMBDA {
      for (int x = 0; x < width; ++x) {
        float row[kBlock];
#pragma GCC ivdep
        for (int i = 0; i < kBlock; ++i) {
          row[i] = static_cast<float>(int{from[x * kBlock + i]} - zero_point) * scale;
        }
        float* const token = to + x * step;
        if (used == kBlock) {
          std::memcpy(token, row, sizeof row);
        } else {
          std::copy_n(row, used, token);
        }
      }
    });
  }
}

void tokens_to_bytes(const ByteMap& map, const ByteMeaning& meaning, const float* src,
                     std::uint8_t* dst, int begin, int end) {
  constexpr int kPixels = 64;
  float pixels[kPixels * kBlock] = {};  // of some tokens a block's channels, beside each other
  for (int block = begin; block < end; ++block) {
    const float* from = src + std::ptrdiff_t{block} * kBlock;
    std::uint8_t* to = dst + map.offset(block, 0, 0);
    const int used = std::min(kBlock, map.channels - block * kBlock);
    for (int left = map.width; left > 0; left -= kPixels) {
      const int count = std::min(left, kPixels);
      for (int x = 0; x < count; ++x, from += map.channels) {
        if (used == kBlock) {
          std::memcpy(pixels + x * kBlock, from, kBlock * sizeof(float));
        } else {
          std::copy_n(from, used, pixels + x * kBlock);
        }
      }
      floats_to_bytes(meaning, pixels, to, std::ptrdiff_t{count} * kBlock);
      to += count * kBlock;
    }
  }
}

void look_up_bytes(const ByteMap& map, const ByteTable& table, const std::uint8_t* src,
                   std::uint8_t* dst, int begin, int end) {
  const std::ptrdiff_t count = std::ptrdiff_t{map.width} * kBlock;
  for_rows(map, begin, end, [&](std::ptrdiff_t at, int) {
    std::ptrdiff_t i = has_byte_tables() ? look_up_vectors(table, src + at, dst + at, count) : 0;
    for (; i < count; ++i) dst[at + i] = table[src[at + i]];
  });
}

}  // namespace mobileone::kernels
