// A linear layer on pooled features: the classifier, or a 1x1 convolution before it.
#pragma once

#include "mobileone/backends/fused/match.hpp"
#include "mobileone/kernels/activation.hpp"

namespace mobileone::fused {

struct LinearMatch : Match {
  NodeId source = -1;  // [N, in, 1, 1]
  NodeId layer = -1;   // Linear or Conv2d
  int in_features = 0, out_features = 0;
  kernels::Activation activation = kernels::Activation::kNone;  // of a convolution
};

std::optional<LinearMatch> match_linear(const Cursor& cursor);

}  // namespace mobileone::fused
