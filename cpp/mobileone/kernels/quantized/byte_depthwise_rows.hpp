// A depthwise 3x3 convolution where a vector holds fewer sums than a block has channels: four rows
// of a channel are one dot product.
#pragma once

#include "mobileone/kernels/quantized/byte_quads.hpp"
#include "mobileone/kernels/quantized/requantize.hpp"

namespace mobileone::kernels::MOBILEONE_ISA {

/// Packed taps of a block: [row][column][four vectors], biases, multipliers.
struct RowTaps {
  const std::byte* packed;

  const std::byte* at(int row, int column, int vector) const {
    return packed + ((row * 3 + column) * 4 + vector) * kWeightBytes;
  }
  const std::byte* bias(int vector) const {
    return packed + 2 * 3 * 4 * kWeightBytes + vector * kVectorBytes;
  }
  const std::byte* multiplier(int vector) const { return bias(vector + 4); }
};

/// Four vectors of sums from four rows' quads at the three columns of the kernel.
template <int kRow>
MOBILEONE_INLINE Bytes sum_columns(const Quads (&quads)[3], const RowTaps& taps,
                                   const Requantize& requantize) {
  Sums sums[4];
#pragma GCC unroll 4
  for (int v = 0; v < 4; ++v) {
    sums[v] = load_sums(taps.bias(v));
#pragma GCC unroll 3
    for (int x = 0; x < 3; ++x)
      sums[v] = dot(sums[v], quads[x].vector[v], hold(taps.at(kRow, x, v)));
    sums[v] = requantize.round(sums[v], taps.multiplier(v));
  }
  return requantize.pack<false>(sums[0], sums[1], sums[2], sums[3]);
}

/// Of stride 1: two rows of the result share four of the source. `second` may be null.
MOBILEONE_INLINE void two_rows(const std::uint8_t* const (&rows)[4], int width, const RowTaps& taps,
                               const Requantize& requantize, std::uint8_t* first,
                               std::uint8_t* second) {
  const auto quads_at = [&](std::ptrdiff_t at) MOBILEONE_INLINE_LAMBDA {
    return interleave(load(rows[0] + at), load(rows[1] + at), load(rows[2] + at),
                      load(rows[3] + at));
  };
  Quads here = quads_at(0);
  for (int x = 0; x < width; x += kPixelsPerVector) {
    const std::ptrdiff_t at = std::ptrdiff_t{x} * kBlock;
    const Quads next = quads_at(at + kVectorBytes);
    Quads quads[3] = {here, {}, {}};
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v) {
      quads[1].vector[v] = pixels_from<1>(here.vector[v], next.vector[v]);
      quads[2].vector[v] = pixels_from<2>(here.vector[v], next.vector[v]);
    }
    store_some(first + at, sum_columns<0>(quads, taps, requantize), width - x);
    if (second != nullptr) {
      store_some(second + at, sum_columns<1>(quads, taps, requantize), width - x);
    }
    here = next;
  }
}

MOBILEONE_INLINE void row_of_stride_two(const std::uint8_t* const (&rows)[4], int width,
                                        const RowTaps& taps, const Requantize& requantize,
                                        std::uint8_t* to) {
  for (int x = 0; x < width; x += kPixelsPerVector) {
    const std::ptrdiff_t at = std::ptrdiff_t{x} * 2 * kBlock;
    Bytes columns[3][3];
#pragma GCC unroll 3
    for (int y = 0; y < 3; ++y) {
      const std::uint8_t* const from = rows[y] + at;
      const Bytes first = load(from), second = load(from + kVectorBytes);
      columns[0][y] = even_pixels(first, second);
      columns[1][y] = odd_pixels(first, second);
      columns[2][y] = even_pixels(load(from + 2 * kBlock), load(from + 2 * kBlock + kVectorBytes));
    }
    Quads quads[3];
#pragma GCC unroll 3
    for (int i = 0; i < 3; ++i) {
      // The fourth row's taps are zeros.
      quads[i] = interleave(columns[i][0], columns[i][1], columns[i][2], columns[i][2]);
    }
    store_some(to + std::ptrdiff_t{x} * kBlock, sum_columns<0>(quads, taps, requantize), width - x);
  }
}

}  // namespace mobileone::kernels::MOBILEONE_ISA
