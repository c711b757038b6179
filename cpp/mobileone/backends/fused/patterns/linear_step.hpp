// The step of the classifier.
#pragma once

#include "mobileone/backends/fused/patterns/linear_match.hpp"

namespace mobileone::fused {

void emit_linear(const LinearMatch& match, PlanBuilder& builder);

}  // namespace mobileone::fused
