// The product of a few pixels' bytes and two vectors of outputs' weights, requantized.
#pragma once

#include <type_traits>

#include "mobileone/kernels/quantized/requantize.hpp"

namespace mobileone::kernels::MOBILEONE_ISA {

/// Where the results of a group of pixels go: `to` + places[pixel], channel blocks `block_stride`
/// apart.
struct BytePlaces {
  std::uint8_t* to;
  std::ptrdiff_t block_stride;
  const int* places;
  int pixels;

  /// Whether they are so many neighbours.
  bool are_neighbours(int count) const {
    return pixels == count && places[count - 1] - places[0] == (count - 1) * kBlock;
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

/// Sums of kPixels pixels and kVectors vectors of outputs. Every loop that indexes them is unrolled
/// by force, or GCC keeps them on the stack.
template <int kPixels, int kVectors>
using ByteSums = Sums[kPixels][kVectors];

/// What a panel's sums begin with.
template <int kPixels, int kVectors>
MOBILEONE_INLINE void begin_sums(ByteSums<kPixels, kVectors>& sums, const std::byte* bias) {
#pragma GCC unroll 14
  for (int p = 0; p < kPixels; ++p) {
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) sums[p][v] = load_sums(bias + v * kVectorBytes);
  }
}

/// Adds products of four bytes of each pixel, `kStride` bytes apart.
template <int kStride, int kPixels, int kVectors>
MOBILEONE_INLINE void add_held_products(ByteSums<kPixels, kVectors>& sums, const std::uint8_t* at,
                                        const Weights (&held)[kVectors]) {
  // Steps that read the same bytes again do: there is no register to keep them in.
  asm("" : "+r"(at));
#pragma GCC unroll 14
  for (int p = 0; p < kPixels; ++p) {
    const Sums x = broadcast(at + p * kStride);
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) sums[p][v] = dot(sums[p][v], x, held[v]);
  }
}

template <int kStride, int kPixels, int kVectors>
MOBILEONE_INLINE void add_products(ByteSums<kPixels, kVectors>& sums, const std::uint8_t* at,
                                   const std::byte* weights) {
  Weights held[kVectors];
#pragma GCC unroll 2
  for (int v = 0; v < kVectors; ++v) held[v] = hold(weights + v * kWeightBytes);
  add_held_products<kStride, kPixels, kVectors>(sums, at, held);
}

/// Whether a panel's results are cut off by saturation alone, of sums that are the bits of numbers:
/// what write_straight() takes.
template <int kVectors>
MOBILEONE_INLINE bool are_straight(const std::byte* multiplier, const Requantize& requantize) {
  bool small = true;
#pragma GCC unroll 2
  for (int v = 0; v < kVectors; ++v) {
    small = small && are_below_one(hold_floats(multiplier + v * kVectorBytes));
  }
  return small && requantize.plain() && are_numbers(multiplier + 4 * kVectorBytes);
}

/// Requantizes sums of neighbours, as many as a vector has or kPixels, and writes the first
/// `pixels`.
template <int kPixels, int kVectors>
MOBILEONE_INLINE void write_straight(Sums (*sums)[kVectors], const std::byte* multiplier,
                                     const Requantize& requantize, std::uint8_t* to,
                                     std::ptrdiff_t block_stride, int pixels) {
#pragma GCC unroll 2
  for (int v = 0; v < kVectors; ++v) {
    const Floats factor = hold_floats(multiplier + v * kVectorBytes);
    const Floats offset = hold_floats(multiplier + (2 + v) * kVectorBytes);
#pragma GCC unroll 4
    for (int p = 0; p < kPixels; ++p) {
      sums[p][v] = nearest(scaled_numbers(sums[p][v], factor, offset));
    }
  }
#pragma GCC unroll 2
  for (int block = 0; block < kVectors / kVectorsPerBlock; ++block) {
    const auto sum = [&](int i) MOBILEONE_INLINE_LAMBDA -> Sums {
      const int pixel = i / kVectorsPerBlock;
      return sums[pixel < kPixels ? pixel : kPixels - 1]
                 [block * kVectorsPerBlock + i % kVectorsPerBlock];
    };
    const Bytes x = transpose_lanes(requantize.pack<true>(sum(0), sum(1), sum(2), sum(3)));
    if (pixels >= kPixelsPerVector) {
      store(to + block * block_stride, x);
    } else {
      store_pixels(to + block * block_stride, x, pixels);
    }
  }
}

/// Adds the last block's products, a vector's pixels at a time, and writes their results while the
/// next ones' are multiplied.
template <int kPixels, int kVectors>
MOBILEONE_INLINE void finish_straight(ByteSums<kPixels, kVectors>& sums, const std::uint8_t* t,
                                      const std::byte* weights, const std::byte* multiplier,
                                      const Requantize& requantize, const BytePlaces& out) {
  std::uint8_t* const to = out.to + out.places[0];
  const auto part = [&]<int kFirst>() MOBILEONE_INLINE_LAMBDA {
    constexpr int kLeft = kPixels - kFirst;
    constexpr int kCount = kLeft < kPixelsPerVector ? kLeft : kPixelsPerVector;
    if constexpr (kCount > 0) {
      auto& own = *reinterpret_cast<ByteSums<kCount, kVectors>*>(sums + kFirst);
#pragma GCC unroll 4
      for (int i = 0; i < 4; ++i) {
        add_products<kBlock, kCount, kVectors>(own, t + kFirst * kBlock + 4 * i,
                                               weights + 2 * i * kWeightBytes);
      }
      // Read again: there is no register to keep them in.
      asm("" : "+r"(multiplier));
      write_straight<kCount, kVectors>(sums + kFirst, multiplier, requantize, to + kFirst * kBlock,
                                       out.block_stride, kCount);
      asm volatile("");  // or the next pixels' products come first
    }
  };
  part.template operator()<0 * kPixelsPerVector>();
  part.template operator()<1 * kPixelsPerVector>();
  part.template operator()<2 * kPixelsPerVector>();
  part.template operator()<3 * kPixelsPerVector>();
  static_assert(kPixels <= 4 * kPixelsPerVector);
}

/// Requantizes sums and writes them; `multiplier`: of packed scales.
template <int kPixels, int kVectors>
MOBILEONE_INLINE void write_sums(ByteSums<kPixels, kVectors>& sums, const std::byte* multiplier,
                                 const Requantize& requantize, const BytePlaces& out) {
  Floats factor[kVectors], scaled[kPixels][kVectors];
  bool small = true;
#pragma GCC unroll 2
  for (int v = 0; v < kVectors; ++v) {
    factor[v] = hold_floats(multiplier + v * kVectorBytes);
    small = small && are_below_one(factor[v]);
  }
  if (are_numbers(multiplier + 4 * kVectorBytes)) {
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) {
      const Floats offset = hold_floats(multiplier + (2 + v) * kVectorBytes);
#pragma GCC unroll 14
      for (int p = 0; p < kPixels; ++p) {
        scaled[p][v] = scaled_numbers(sums[p][v], factor[v], offset);
      }
    }
  } else {
#pragma GCC unroll 14
    for (int p = 0; p < kPixels; ++p) {
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) scaled[p][v] = scaled_sums(sums[p][v], factor[v]);
    }
  }
  if (!small) {
#pragma GCC unroll 14
    for (int p = 0; p < kPixels; ++p) {
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) scaled[p][v] = requantize.limit(scaled[p][v]);
    }
  }
#pragma GCC unroll 14
  for (int p = 0; p < kPixels; ++p) {
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) sums[p][v] = nearest(scaled[p][v]);
  }
  // A block of 16 channels at a time: of four pixels' single vectors, or of two pixels' pairs.
  const auto for_each_group = [&](auto plain, const auto& write) MOBILEONE_INLINE_LAMBDA {
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
        write(to, p, transpose_lanes(requantize.pack<plain()>(sum(0), sum(1), sum(2), sum(3))));
      }
    }
  };
  if (out.are_neighbours(kPixels)) {
    const int first = out.places[0];
    const auto write = [&](std::uint8_t* to, int p, Bytes x) MOBILEONE_INLINE_LAMBDA {
      std::uint8_t* const at = to + first + p * kBlock;
      if (p + kPixelsPerVector <= kPixels) return store(at, x);
      store_pixels(at, x, kPixels - p);
    };
    if (requantize.plain()) return for_each_group(std::true_type(), write);
    return for_each_group(std::false_type(), write);
  }
  for_each_group(std::false_type(), [&](std::uint8_t* to, int p, Bytes x) MOBILEONE_INLINE_LAMBDA {
    detail::store_group<kPixelsPerVector>(out, p, to, x);
  });
}

}  // namespace mobileone::kernels::MOBILEONE_ISA
