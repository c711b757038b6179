// A depthwise 3 x 3 convolution with padding 1 in training: one block of 16 channels of one image,
// nchw16c without a border.
#pragma once

#include <cstddef>

#include "mobileone/kernels/layout.hpp"

namespace mobileone::kernels {

inline constexpr int kTaps = 9;
/// Products of two taps, t <= t', row by row.
inline constexpr int kTapPairs = kTaps * (kTaps + 1) / 2;
/// Index of a pair with t <= t'.
constexpr int tap_pair(int t, int other) { return t * kTaps - t * (t - 1) / 2 + other - t; }

struct DepthwiseTraining {
  int height = 0, width = 0;
  int stride = 1;  // 1 or 2

  int out_height() const { return (height - 1) / stride + 1; }
  int out_width() const { return (width - 1) / stride + 1; }
  /// Scratch of every function, in floats: three rows of x, three of its gradient, one row of a
  /// patch's gradient.
  std::ptrdiff_t scratch_floats() const {
    return (6 * (std::ptrdiff_t{width} + 3) + kTaps * std::ptrdiff_t{out_width()}) * kBlock;
  }
};

/// y = max(floor, bias + taps of x by weights).
struct DepthwiseForward {
  DepthwiseTraining shape;
  const float* x = nullptr;
  const float* weights = nullptr;  // [9][16]
  const float* bias = nullptr;     // [16]
  float floor = 0.0f;
  float* y = nullptr;
  float* scratch = nullptr;
};

/// Sums over output pixels of the taps of x - shift (padding is -shift), and of their products.
struct DepthwiseMoments {
  DepthwiseTraining shape;
  const float* x = nullptr;
  const float* shift = nullptr;  // [16]
  float* sums = nullptr;         // += [9 + 45][16]
  float* scratch = nullptr;
};

/// Sums over output pixels of g x tap, and of g.
struct DepthwiseWeightGradient {
  DepthwiseTraining shape;
  const float* x = nullptr;
  const float* g = nullptr;
  float* sums = nullptr;  // += [9 + 1][16]
  float* scratch = nullptr;
};

/// A patch's gradient is weights g + constant + s (patch - shift); dx is the sum over the patches
/// that x is part of, where x > 0 if `masked`, else 0.
struct DepthwiseInputGradient {
  DepthwiseTraining shape;
  const float* x = nullptr;  // may be null without s and mask
  const float* g = nullptr;
  const float* weights = nullptr;   // [9][16]
  const float* s = nullptr;         // [9][9][16], or null: no such term, no constant, no shift
  const float* constant = nullptr;  // [9][16]
  const float* shift = nullptr;     // [16]
  bool masked = false;
  float* dx = nullptr;
  float* scratch = nullptr;
};

}  // namespace mobileone::kernels
