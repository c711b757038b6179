// Packed taps of a depthwise convolution.
#pragma once

#include <cstddef>

#include "mobileone/kernels/layout.hpp"

namespace mobileone::kernels {

/// Floats of one channel block's taps: kernel^2 weights (row-major), then the bias, each 16
/// channels.
constexpr std::ptrdiff_t depthwise_floats(int kernel) {
  return std::ptrdiff_t{kernel * kernel + 1} * kBlock;
}

/// weight [channels][kernel][kernel], bias [channels] or null (zero) -> [blocks][kernel^2 + 1][16].
void pack_depthwise(int channels, int kernel, const float* weight, const float* bias,
                    float* packed);

/// The same of rows in pairs (depthwise/row_pairs.hpp): of each column of weights g0, g1, g2 the
/// four factors g0, (g0 + g1 + g2) / 2, (g0 - g1 + g2) / 2 and g2, then the bias.
inline constexpr std::ptrdiff_t kRowPairFloats = std::ptrdiff_t{3 * 4 + 1} * kBlock;

/// weight [channels][3][3], bias [channels] or null (zero) -> [blocks][13][16].
void pack_row_pairs(int channels, const float* weight, const float* bias, float* packed);

}  // namespace mobileone::kernels
