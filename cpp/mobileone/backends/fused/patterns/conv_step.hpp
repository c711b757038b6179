// The step of a dense convolution.
#pragma once

#include "mobileone/backends/fused/patterns/conv_match.hpp"

namespace mobileone::fused {

void emit_dense_conv(const DenseConvMatch& match, PlanBuilder& builder);

}  // namespace mobileone::fused
