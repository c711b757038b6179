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

}  // namespace mobileone::kernels
