// The step of a dense convolution.
#pragma once

#include <functional>

#include "mobileone/backends/fused/patterns/conv_match.hpp"
#include "mobileone/kernels/conv/conv.hpp"

namespace mobileone::fused {

// A dense convolution's weights, for a step that runs it with others.
struct PackedConv {
  kernels::ConvPlan plan;
  std::shared_ptr<const void> weights;
  std::string details;  // of the step's implementation

  const float* data() const { return static_cast<const float*>(weights.get()); }
};

// Unless `fits` is empty: in one column part, and in the tallest of the usual tiles that it
// accepts.
PackedConv pack_dense_conv(const DenseConvMatch& match,
                           const std::function<bool(const kernels::ConvPlan&)>& fits,
                           PlanBuilder& builder);

void emit_dense_conv(const DenseConvMatch& match, PlanBuilder& builder);

}  // namespace mobileone::fused
