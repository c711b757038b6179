// Depthwise 3x3 over some output rows of one 16-channel block.
#pragma once

#include "mobileone/kernels/pointwise/microkernel.hpp"

namespace mobileone::kernels::MOBILEONE_ISA {

/// Taps of one channel block: 9 weights (row-major 3x3), then the bias, each 16 channels.
inline constexpr int kDepthwiseFloats = 10 * kBlock;

/// `count` output rows of `width` pixels. rows[i] is input row i of the window at its border pixel
/// x = -1: output row y reads rows[y * stride] to rows[y * stride + 2]. Output pixel (y, x) goes to
/// dst[16 (y * width + x)]: max(floor, bias + sum of the 9 products).
void depthwise_rows(int stride, const float* const* rows, int count, const float* taps, float floor,
                    int width, float* dst);

}  // namespace mobileone::kernels::MOBILEONE_ISA
