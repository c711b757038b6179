// Dense convolutions and inverted residual blocks among lowered operators.
#pragma once

#include <optional>
#include <vector>

#include "mobileone/kernels/activation.hpp"
#include "mobileone/plan/builder.hpp"

namespace mobileone::fused {

// What the kernels know of an operator's activation; nothing when it is another one.
std::optional<kernels::Activation> kernel_activation(const LoweredOp& op);

// 1x1 or 3x3 convolution, stride 1, of one map or of the concatenation of two; then, if there is
// one, the sum with another map; then an activation.
struct DenseConvMatch {
  NodeId source = -1;
  NodeId source2 = -1;   // or none
  NodeId residual = -1;  // or none
  NodeId conv = -1;
  NodeId result = -1;
  kernels::Activation activation = kernels::Activation::kNone;
  std::size_t taken = 0;
};
std::optional<DenseConvMatch> match_dense_conv(const std::vector<LoweredOp>& ops, std::size_t at,
                                               const PlanBuilder& builder);

// 1x1 expansion, 3x3 depthwise, 1x1 projection and the sum with the input, if there is one.
struct InvertedResidualMatch {
  NodeId source = -1;
  NodeId expand = -1, depthwise = -1, project = -1;
  NodeId result = -1;
  kernels::Activation activation = kernels::Activation::kNone;
  bool residual = false;
  std::size_t taken = 0;
};
std::optional<InvertedResidualMatch> match_inverted_residual(const std::vector<LoweredOp>& ops,
                                                             std::size_t at,
                                                             const PlanBuilder& builder);

// A dense 3x3 stride-2 convolution of the network's three-channel input with a SiLU.
bool is_silu_stem(const std::vector<LoweredOp>& ops, std::size_t at, const PlanBuilder& builder);

}  // namespace mobileone::fused
