// Depthwise 3x3 over one output row of one 16-channel block.
#pragma once

#include "mobileone/kernels/arch/microkernel.hpp"

namespace mobileone::kernels::MOBILEONE_ISA {

/// Taps of one channel block: 9 weights (row-major 3x3), then the bias, each 16 channels.
inline constexpr int kDepthwiseFloats = 10 * kBlock;

/// `rows`: the three input rows, each at the border pixel x = -1. Writes `width` output pixels,
/// 16 channels apart, to `dst`: max(floor, bias + sum of the 9 products).
void depthwise_row(int stride, const float* const rows[3], const float* taps, float floor,
                   int width, float* dst);

}  // namespace mobileone::kernels::MOBILEONE_ISA
