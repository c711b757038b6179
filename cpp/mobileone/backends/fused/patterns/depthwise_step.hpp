#pragma once

#include "mobileone/backends/fused/patterns/depthwise_match.hpp"

namespace mobileone::fused {

void emit_depthwise(const DepthwiseMatch& match, PlanBuilder& builder);

}  // namespace mobileone::fused
