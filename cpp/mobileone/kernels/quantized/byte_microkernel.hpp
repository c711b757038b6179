// The product of a few pixels' bytes and two vectors of outputs' weights, requantized.
#pragma once

#include "mobileone/kernels/quantized/bytes.hpp"

namespace mobileone::kernels::MOBILEONE_ISA {

/// Where the results of a group of pixels go: `to` + places[pixel], channel blocks `block_stride`
/// apart.
struct BytePlaces {
  std::uint8_t* to;
  std::ptrdiff_t block_stride;
  const int* places;
  int pixels;  // at most kTraits.pixels

  /// Whether they are a whole group of neighbours.
  bool neighbours() const {
    return pixels == kTraits.pixels &&
           places[kTraits.pixels - 1] - places[0] == (kTraits.pixels - 1) * kBlock;
  }
};

namespace detail {

template <int kCount>
MOBILEONE_INLINE void store_group(const BytePlaces& out, int first, std::uint8_t* to, Bytes x) {
  if (first < out.pixels) store_pixel<0>(to + out.places[first], x);
  if constexpr (kCount > 1) {
    if (first + 1 < out.pixels) store_pixel<1>(to + out.places[first + 1], x);
  }
  if constexpr (kCount > 2) {
    if (first + 2 < out.pixels) store_pixel<2>(to + out.places[first + 2], x);
    if (first + 3 < out.pixels) store_pixel<3>(to + out.places[first + 3], x);
  }
}

}  // namespace detail

/// Multiplies kTraits.pixels pixels, `kStride` bytes apart, by kVectors vectors of outputs of a
/// packed panel, kGroups groups of four factors a step. next() is the first pixel's bytes of the
/// next step.
template <int kVectors, int kStride, int kGroups, typename Next>
MOBILEONE_INLINE void multiply_bytes(Next next, int steps, const std::byte* packed,
                                     std::size_t weight_bytes, const Requantize& requantize,
                                     const BytePlaces& out) {
  constexpr int kPixels = kTraits.pixels;
  const std::byte* const bias = packed + weight_bytes;
  const std::byte* const multiplier = bias + 2 * kVectorBytes;
  // Every loop that indexes the sums is unrolled by force, or GCC keeps them on the stack.
  Sums sums[kPixels][kVectors];
#pragma GCC unroll 14
  for (int p = 0; p < kPixels; ++p) {
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) sums[p][v] = load_sums(bias + v * kVectorBytes);
  }
  const std::byte* weights = packed;
  for (int step = 0; step < steps; ++step) {
    const std::uint8_t* const from = next();
#pragma GCC unroll 4
    for (int i = 0; i < kGroups; ++i) {
      // Steps that read the same bytes again do: there is no register to keep them in.
      const std::uint8_t* at = from + 4 * i;
      asm("" : "+r"(at));
      Weights held[kVectors];
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) held[v] = hold(weights + (2 * i + v) * kWeightBytes);
#pragma GCC unroll 14
      for (int p = 0; p < kPixels; ++p) {
        const Sums x = broadcast(at + p * kStride);
#pragma GCC unroll 2
        for (int v = 0; v < kVectors; ++v) {
          sums[p][v] = dot(sums[p][v], x, held[v]);
        }
      }
    }
    weights += 2 * kGroups * kWeightBytes;
  }
#pragma GCC unroll 14
  for (int p = 0; p < kPixels; ++p) {
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) {
      sums[p][v] = requantize.round(sums[p][v], multiplier + v * kVectorBytes);
    }
  }
  // A block of 16 channels at a time: of four pixels' single vectors, or of two pixels' pairs.
  const auto for_each_group = [&](const auto& write) MOBILEONE_INLINE_LAMBDA {
#pragma GCC unroll 2
    for (int block = 0; block < kVectors / kVectorsPerBlock; ++block) {
      std::uint8_t* const to = out.to + block * out.block_stride;
#pragma GCC unroll 14
      for (int p = 0; p < kPixels; p += kPixelsPerVector) {
        const auto sum = [&](int i) MOBILEONE_INLINE_LAMBDA -> Sums {
          const int pixel = p + i / kVectorsPerBlock;
          return sums[pixel < kPixels ? pixel : kPixels - 1]
                     [block * kVectorsPerBlock + i % kVectorsPerBlock];
        };
        write(to, p, transpose_lanes(requantize.pack(sum(0), sum(1), sum(2), sum(3))));
      }
    }
  };
  if (out.neighbours()) {
    for_each_group([&](std::uint8_t* to, int p, Bytes x) MOBILEONE_INLINE_LAMBDA {
      std::uint8_t* const at = to + out.places[0] + p * kBlock;
      if (p + kPixelsPerVector <= kPixels) return store(at, x);
      store_pixels(at, x, kPixels - p);
    });
    return;
  }
  for_each_group([&](std::uint8_t* to, int p, Bytes x) MOBILEONE_INLINE_LAMBDA {
    detail::store_group<kPixelsPerVector>(out, p, to, x);
  });
}

}  // namespace mobileone::kernels::MOBILEONE_ISA
