// Dense convolutions of maps.
#pragma once

#include "mobileone/backends/fused/match.hpp"
#include "mobileone/kernels/activation.hpp"

namespace mobileone::fused {

// 1x1 or 3x3 convolution, stride 1 or 2, of one map or of the concatenation of two; then, if there
// is one, the sum with another map; then an activation.
struct DenseConvMatch : Match {
  NodeId source = -1;
  NodeId source2 = -1;   // or none
  NodeId residual = -1;  // or none
  NodeId conv = -1;
  kernels::Activation activation = kernels::Activation::kNone;
};

std::optional<DenseConvMatch> match_dense_conv(const Cursor& cursor);
// The same of whatever is to become a map.
std::optional<DenseConvMatch> match_dense_conv_of(const Cursor& cursor);

}  // namespace mobileone::fused
