// MobileOne's blocks: depthwise 3x3 -> pointwise 1x1.
#pragma once

#include "mobileone/backends/fused/match.hpp"
#include "mobileone/kernels/activation.hpp"

namespace mobileone::fused {

// One convolution with its bias, an optional SE and an optional ReLU, in this order.
struct ConvMatch {
  NodeId node = -1;
  std::optional<SqueezeMatch> squeeze;
  kernels::Activation activation = kernels::Activation::kNone;
};

// Nothing else reads what lies between the two.
struct PairMatch : Match {
  NodeId source = -1;
  ConvMatch depthwise, pointwise;
};

// The pair that comes next, if there is one. An SE after the pointwise is part of it only if every
// reader of the result can apply its factor: the next pair, or the global pool.
std::optional<PairMatch> match_pair(const Cursor& cursor);

}  // namespace mobileone::fused
