// A depthwise convolution between two blocked maps, where no projection follows that it could be
// run with (block/block.hpp): k x k with stride 1 or 2 and padding k / 2, bias, an optional map
// that is added, and an activation. Each input channel may make several output channels.
//
// A 3x3 window is read where it is. Wider ones, for which the map's border is too narrow, and
// channels that are made of others, come from copied rows with a border of their own.
//
// Use: plan_depthwise_map once per shape, pack_depthwise (depthwise/depthwise_pack.hpp) once per
// set of weights, then KernelTable::run_depthwise_map per image. Units are independent.
#pragma once

#include <cstddef>

#include "mobileone/kernels/activation.hpp"
#include "mobileone/kernels/depthwise/depthwise_pack.hpp"

namespace mobileone::kernels {

struct DepthwiseMapShape {
  int channels_in = 0;
  int multiplier = 1;  // output channels of each input channel: 1, 2, 4 or 8
  int height = 0;      // of the input map
  int width = 0;
  int kernel = 3;  // 3, 5, 7, 9 or 11
  int stride = 1;  // 1 or 2
  Epilogue epilogue = {};

  int channels_out() const { return channels_in * multiplier; }
  int reach() const { return kernel / 2; }
  bool copies() const { return kernel > 3 || multiplier > 1; }
  MapShape src() const { return {channels_in, height, width}; }
  MapShape dst() const {
    return {channels_out(), (height - 1) / stride + 1, (width - 1) / stride + 1};
  }
};

struct DepthwiseMapPlan {
  DepthwiseMapShape shape;
  int band_rows = 0;  // output rows of a unit

  int bands() const { return ceil_div(shape.dst().height, band_rows); }
  /// A band of one block of output channels each.
  int units() const { return blocks(shape.channels_out()) * bands(); }
  std::size_t packed_bytes() const {
    return sizeof(float) *
           static_cast<std::size_t>(blocks(shape.channels_out()) * depthwise_floats(shape.kernel));
  }
  // Copied rows, and one of zeros.
  std::ptrdiff_t row_floats() const {
    return std::ptrdiff_t{shape.width + 2 * shape.reach()} * kBlock;
  }
  int band_slots() const { return (band_rows - 1) * shape.stride + shape.kernel; }
  /// Scratch that each concurrent caller needs, aligned to kAlignment.
  std::size_t scratch_bytes() const {
    return shape.copies() ? sizeof(float) * static_cast<std::size_t>(row_floats()) *
                                static_cast<std::size_t>(band_slots() + 1)
                          : 0;
  }
};

/// Pointers of one run over one image. Maps are blocked (layout.hpp), with zero borders.
struct DepthwiseMapArgs {
  const float* src = nullptr;
  const float* residual = nullptr;  // a map of the output's shape, required when epilogue.residual
  float* dst = nullptr;
  const float* packed = nullptr;  // pack_depthwise of the output's channels
  void* scratch = nullptr;
};

/// Throws std::invalid_argument for sizes < 1, another kernel, stride or multiplier than above.
DepthwiseMapPlan plan_depthwise_map(const DepthwiseMapShape& shape);

}  // namespace mobileone::kernels
