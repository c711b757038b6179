// The step of an inverted residual block.
#pragma once

#include "mobileone/backends/fused/patterns/inverted_residual_match.hpp"

namespace mobileone::fused {

void emit_inverted_residual(const InvertedResidualMatch& match, PlanBuilder& builder);

}  // namespace mobileone::fused
