// A depthwise 3x3 convolution where a vector holds the sums of a block's 16 channels: four columns
// of a channel, of which the last one's tap is 0, are one dot product; at stride 1 they are that of
// the next pixel, too, for which the first one's tap is 0.
#pragma once

#include "mobileone/kernels/quantized/packing.hpp"
#include "mobileone/kernels/quantized/requantize.hpp"

namespace mobileone::kernels::MOBILEONE_ISA {

/// How sums become bytes: any; cut off by saturation alone; the same of sums that are the bits of
/// numbers (SumScale in packing.hpp).
enum class Rounding { kAny, kUsual, kNumbers };

/// A block's packed taps, a vector for each row, then scales.
struct ColumnTaps {
  Bytes row[2][3];  // of the first of two pixels that share four columns, and of the second
  Sums bias;
  Floats multiplier, offset;
  Rounding rounding = Rounding::kAny;

  ColumnTaps(const std::byte* packed, const Requantize& requantize)
      : bias(load_sums(packed + 3 * kVectorBytes)),
        multiplier(hold_floats(packed + 4 * kVectorBytes)),
        offset(hold_floats(packed + 5 * kVectorBytes)) {
    const bool numbers = are_numbers(packed + 6 * kVectorBytes);
    if (requantize.plain() && are_below_one(multiplier)) {
      rounding = numbers ? Rounding::kNumbers : Rounding::kUsual;
    } else if (numbers) {
      bias = add(bias, broadcast_sum(-SumScale::kNumberBits));
    }
    for (int i = 0; i < 3; ++i) {
      row[0][i] = load(packed + i * kVectorBytes);
      row[1][i] = shifted_left<8>(row[0][i]);
    }
  }
};

/// Rows of the source, a pixel to the left of the first one, and of the result.
struct ColumnRows {
  const std::uint8_t* from;
  std::ptrdiff_t row_stride;
  std::uint8_t* to;
  std::ptrdiff_t pitch;
  int count;
};

/// kPixels neighbours of all rows of the result. A source row is taken apart once, for all rows
/// that it is in the windows of.
template <int kPixels, int kStride, Rounding kRounding>
[[gnu::noinline]] void depthwise_columns(const ColumnRows& rows, const ColumnTaps& block,
                                         const Requantize& requantize) {
  constexpr int kSharing = kStride == 1 ? 2 : 1;  // pixels of the same four columns
  const ColumnTaps taps = block;
  const std::uint8_t* from = rows.from;
  const auto next_row = [&](const auto& use) MOBILEONE_INLINE_LAMBDA {
#pragma GCC unroll 4
    for (int p = 0; p < kPixels; p += kSharing) {
      const Bytes x = four_columns(from + p * kStride * kBlock);
      use(p, x, taps.row[0]);
      if (kSharing == 2 && p + 1 < kPixels) use(p + 1, x, taps.row[1]);
    }
    from += rows.row_stride;
  };
  // Of the rows of the result that are under way, the one to be finished first.
  Sums first[4], second[4], done[4];
  using Taps = const Bytes(&)[3];
  next_row([&](int p, Bytes x, Taps row)
               MOBILEONE_INLINE_LAMBDA { first[p] = dot(taps.bias, x, row[0]); });
  if constexpr (kStride == 1) {
    next_row([&](int p, Bytes x, Taps row) MOBILEONE_INLINE_LAMBDA {
      first[p] = dot(first[p], x, row[1]);
      second[p] = dot(taps.bias, x, row[0]);
    });
  }
  std::uint8_t* to = rows.to;
  for (int y = 0; y < rows.count; ++y, to += rows.pitch) {
    if constexpr (kStride == 2) {
      next_row([&](int p, Bytes x, Taps row)
                   MOBILEONE_INLINE_LAMBDA { first[p] = dot(first[p], x, row[1]); });
    }
    next_row([&](int p, Bytes x, Taps row) MOBILEONE_INLINE_LAMBDA {
      done[p] = dot(first[p], x, row[2]);
      if constexpr (kStride == 1) {
        first[p] = dot(second[p], x, row[1]);
        second[p] = dot(taps.bias, x, row[0]);
      } else {
        first[p] = dot(taps.bias, x, row[0]);
      }
      const Floats scaled = kRounding == Rounding::kNumbers
                                ? scaled_numbers(done[p], taps.multiplier, taps.offset)
                                : scaled_sums(done[p], taps.multiplier);
      done[p] = nearest(kRounding == Rounding::kAny ? requantize.limit(scaled) : scaled);
    });
#pragma GCC unroll 4
    for (int p = kPixels; p < 4; ++p) done[p] = done[kPixels - 1];
    constexpr bool kPlain = kRounding != Rounding::kAny;
    const Bytes x = transpose_lanes(requantize.pack<kPlain>(done[0], done[1], done[2], done[3]));
    if constexpr (kPixels == 4) {
      store(to, x);
    } else {
      store_pixels(to, x, kPixels);
    }
  }
}

template <int kStride, Rounding kRounding>
void depthwise_columns_of_width(ColumnRows rows, int width, const ColumnTaps& taps,
                                const Requantize& requantize) {
  for (; width >= 4; width -= 4, rows.from += 4 * kStride * kBlock, rows.to += 4 * kBlock) {
    depthwise_columns<4, kStride, kRounding>(rows, taps, requantize);
  }
  switch (width) {
    case 1:
      return depthwise_columns<1, kStride, kRounding>(rows, taps, requantize);
    case 2:
      return depthwise_columns<2, kStride, kRounding>(rows, taps, requantize);
    case 3:
      return depthwise_columns<3, kStride, kRounding>(rows, taps, requantize);
  }
}

template <int kStride>
void depthwise_columns_of_block(const ColumnRows& rows, int width, const ColumnTaps& taps,
                                const Requantize& requantize) {
  switch (taps.rounding) {
    case Rounding::kAny:
      return depthwise_columns_of_width<kStride, Rounding::kAny>(rows, width, taps, requantize);
    case Rounding::kUsual:
      return depthwise_columns_of_width<kStride, Rounding::kUsual>(rows, width, taps, requantize);
    case Rounding::kNumbers:
      return depthwise_columns_of_width<kStride, Rounding::kNumbers>(rows, width, taps, requantize);
  }
}

}  // namespace mobileone::kernels::MOBILEONE_ISA
