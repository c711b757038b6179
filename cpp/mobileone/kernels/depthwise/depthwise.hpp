// Depthwise k x k convolution over some output rows of one 16-channel block.
#pragma once

#include "mobileone/kernels/depthwise/depthwise_pack.hpp"
#include "mobileone/kernels/pointwise/microkernel.hpp"

namespace mobileone::kernels::MOBILEONE_ISA {

struct DepthwiseWindow {
  int kernel = 3;               // 3, 5, 7, 9 or 11
  int stride = 1;               // 1 or 2
  const float* taps = nullptr;  // of the block; pack_depthwise
  float floor = 0.0f;
  bool rounds = false;  // to bfloat16, where that is T's element: pixels 8 floats apart, not 16
  float ceiling = __builtin_inff();
  std::ptrdiff_t dst_row = 0;  // floats from one output row to the next; 0: they are neighbours
};

/// `count` output rows of `width` pixels. rows[i] is input row i of the window at its border pixel
/// x = -(kernel / 2): output row y reads rows[y * stride] to rows[y * stride + kernel - 1]. Output
/// pixel (y, x) goes to dst[16 (y * width + x)], or dst[y * dst_row + 16 x]: min(ceiling,
/// max(floor, bias + sum of the products)).
void depthwise_rows(const DepthwiseWindow& window, const float* const* rows, int count, int width,
                    float* dst);

}  // namespace mobileone::kernels::MOBILEONE_ISA
