// Depthwise convolutions of maps that no projection follows.
#pragma once

#include "mobileone/backends/fused/match.hpp"
#include "mobileone/kernels/activation.hpp"

namespace mobileone::fused {

// 3x3 to 11x11, stride 1 or 2, each channel making 1, 2, 4 or 8; then, if there is one, the sum
// with another map; then an activation. Of a map that is one already.
struct DepthwiseMatch : Match {
  NodeId source = -1;
  NodeId residual = -1;  // or none
  NodeId conv = -1;
  kernels::Activation activation = kernels::Activation::kNone;
};

std::optional<DepthwiseMatch> match_depthwise(const Cursor& cursor);

}  // namespace mobileone::fused
