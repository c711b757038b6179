// MobileNetV2's inverted residual blocks (Sandler et al. 2018, section 3.3).
#pragma once

#include "mobileone/backends/fused/match.hpp"
#include "mobileone/kernels/activation.hpp"

namespace mobileone::fused {

// 1x1 expansion, 3x3 depthwise, 1x1 projection and the sum with the input, if there is one.
struct InvertedResidualMatch : Match {
  NodeId source = -1;
  NodeId expand = -1, depthwise = -1, project = -1;
  kernels::Activation activation = kernels::Activation::kNone;
  bool residual = false;
};

std::optional<InvertedResidualMatch> match_inverted_residual(const Cursor& cursor);

}  // namespace mobileone::fused
