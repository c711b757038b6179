// Finding the patterns that the fused kernels execute, among lowered operators.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "mobileone/plan/builder.hpp"

namespace mobileone::fused {

// Squeeze-and-excitation: the module path of its two convolutions, and its widths.
struct SqueezeMatch {
  std::string reduce, expand;
  std::int64_t channels = 0, reduced = 0;
};

// One convolution with its bias, an optional SE and an optional ReLU, in this order.
struct ConvMatch {
  const LoweredOp* conv = nullptr;
  std::optional<SqueezeMatch> squeeze;
  bool relu = false;
  NodeId result = -1;
  std::size_t taken = 0;  // lowered operators
};

// Depthwise 3x3 -> pointwise 1x1, nothing else reading what lies between them.
struct PairMatch {
  ConvMatch depthwise, pointwise;
  std::int64_t stride = 1;
  NodeId input = -1;
  NodeId result = -1;
  std::size_t taken = 0;
};

// The pair that begins at ops[at], if there is one. An SE behind the pointwise is part of it only
// if every reader of the result can apply its factor: the next pair, or the global pool.
std::optional<PairMatch> match_pair(const std::vector<LoweredOp>& ops, std::size_t at,
                                    const PlanBuilder& builder);

// A dense 3x3 stride-2 convolution of the network's three-channel input, without SE.
std::optional<ConvMatch> match_stem(const std::vector<LoweredOp>& ops, std::size_t at,
                                    const PlanBuilder& builder);

}  // namespace mobileone::fused
