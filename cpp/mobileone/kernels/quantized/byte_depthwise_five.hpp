// A depthwise 5x5 convolution: of a channel four rows of a column are one dot product, and the
// fifth row is another one.
#pragma once

#include <algorithm>

#include "mobileone/kernels/quantized/byte_quads.hpp"
#include "mobileone/kernels/quantized/requantize.hpp"

namespace mobileone::kernels::MOBILEONE_ISA {

/// Packed taps of a block: [column][first four rows, last row][four vectors], biases, multipliers.
struct FiveTaps {
  const std::byte* packed;

  const std::byte* at(int column, int part, int vector) const {
    return packed + ((column * 2 + part) * 4 + vector) * kWeightBytes;
  }
  const std::byte* bias(int vector) const { return at(5, 0, 0) + vector * kVectorBytes; }
  const std::byte* multiplier(int vector) const { return bias(vector + 4); }
};

/// As many neighbours of a row of the result as a vector has pixels; rows[0] is the first source
/// row's, two pixels to the left.
template <int kStride>
MOBILEONE_INLINE Bytes five_by_five(const std::uint8_t* rows, std::ptrdiff_t row_stride,
                                    const FiveTaps& taps, const Requantize& requantize) {
  Sums sums[4];
#pragma GCC unroll 4
  for (int v = 0; v < 4; ++v) sums[v] = load_sums(taps.bias(v));
  for (int column = 0; column < 5; ++column) {
    Bytes row[5];
#pragma GCC unroll 5
    for (int y = 0; y < 5; ++y) {
      const std::uint8_t* const from = rows + y * row_stride + column * kBlock;
      row[y] = kStride == 1 ? load(from) : even_pixels(load(from), load(from + kVectorBytes));
    }
    const Quads four = interleave(row[0], row[1], row[2], row[3]);
    const Quads last = interleave(row[4], row[4], row[4], row[4]);  // three taps are zeros
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v) {
      sums[v] = dot(sums[v], four.vector[v], hold(taps.at(column, 0, v)));
      sums[v] = dot(sums[v], last.vector[v], hold(taps.at(column, 1, v)));
    }
  }
#pragma GCC unroll 4
  for (int v = 0; v < 4; ++v) sums[v] = requantize.round(sums[v], taps.multiplier(v));
  return requantize.pack<false>(sums[0], sums[1], sums[2], sums[3]);
}

template <int kStride>
[[gnu::noinline]] void row_of_five(const std::uint8_t* rows, std::ptrdiff_t row_stride, int width,
                                   const FiveTaps& taps, const Requantize& requantize,
                                   std::uint8_t* to) {
  for (int x = 0; x < width; x += kPixelsPerVector) {
    const Bytes made = five_by_five<kStride>(rows + std::ptrdiff_t{x} * kStride * kBlock,
                                             row_stride, taps, requantize);
    store_some(to + std::ptrdiff_t{x} * kBlock, made, width - x);
  }
}

/// The source rows of rows [begin, end) of the result, with two pixels of the zero point on either
/// side, which a map has one of.
MOBILEONE_INLINE void widen_border(const QuantizedBlockShape& shape, const std::uint8_t* src,
                                   int block, int begin, int end, std::uint8_t* to) {
  const ByteMap map = shape.src();
  const auto zero_point = static_cast<std::uint8_t>(shape.source_zero_point);
  const std::ptrdiff_t row_bytes = shape.wide_row_bytes();
  const std::size_t inside = std::size_t(map.width) * kBlock;
  for (int y = shape.stride * begin - 2; y <= shape.stride * (end - 1) + 2; ++y, to += row_bytes) {
    if (y < 0 || y >= map.height) {
      std::fill_n(to, row_bytes, zero_point);
      continue;
    }
    std::fill_n(to, 2 * kBlock, zero_point);
    __builtin_memcpy(to + 2 * kBlock, src + map.offset(block, y, 0), inside);
    std::fill_n(to + 2 * kBlock + inside, 2 * kBlock, zero_point);
  }
}

/// Rows [begin, end) of a block's result; `scratch`: QuantizedBlockPlan::wide_bytes().
MOBILEONE_INLINE void depthwise_five(const QuantizedBlockShape& shape, const std::uint8_t* src,
                                     int block, const std::byte* packed, int begin, int end,
                                     std::uint8_t* to, std::ptrdiff_t pitch,
                                     std::uint8_t* scratch) {
  widen_border(shape, src, block, begin, end, scratch);
  const Requantize requantize(shape.depthwise);
  const FiveTaps taps{packed};
  const std::ptrdiff_t row = shape.wide_row_bytes();
  const auto run = shape.stride == 1 ? row_of_five<1> : row_of_five<2>;
  for (int y = begin; y < end; ++y, to += pitch, scratch += shape.stride * row) {
    run(scratch, row, shape.out_width(), taps, requantize, to);
  }
}

}  // namespace mobileone::kernels::MOBILEONE_ISA
