// A sum of depthwise branches by the moments of each channel's 3 x 3 patches: sizes and values.
#pragma once

#include "mobileone/backends/training/merged_convolution.hpp"

namespace mobileone::training {

inline constexpr std::int64_t kTaps = kernels::kTaps;
inline constexpr std::int64_t kMomentRows = kTaps + kernels::kTapPairs;  // of a block's sums
inline constexpr std::int64_t kGradientRows = kTaps + 1;

// Sizes, and the values that the steps hand to one another. Sums are one per image and block, added
// up in the order of images.
struct Depthwise {
  kernels::DepthwiseTraining shape;
  std::int64_t images, channels;
  double count;  // patches
  float floor;
  bool masked;
  ValueId x, y;
  ValueId shift, weights, bias;   // [16 blocks], [blocks][9][16], [16 blocks]
  ValueId moments;                // float64 [blocks][9 + 81][16]: mean and covariance of patches
  ValueId s = -1, constant = -1;  // [blocks][81][16], [blocks][9][16]

  std::int64_t blocks() const { return training::blocks(channels); }
  std::int64_t in_floats() const { return std::int64_t{shape.height} * shape.width * kBlock; }
  std::int64_t out_floats() const {
    return std::int64_t{shape.out_height()} * shape.out_width() * kBlock;
  }
};

// From sums over patches: moments, statistics, W and b.
void add_algebra(const Depthwise& d, const BranchSum& sum, const BranchOperands& operands,
                 PlanBuilder& builder, ValueId sums);
// From sums of gradients: those of weights and norms, and the factors of the input's gradient.
void add_gradient_algebra(const Depthwise& d, const BranchSum& sum, const BranchOperands& operands,
                          PlanBuilder& builder, ValueId sums);

}  // namespace mobileone::training
