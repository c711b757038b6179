#pragma once

#include "mobileone/backends/fused/patterns/elements_match.hpp"

namespace mobileone::fused {

void emit_elements(const ElementsMatch& match, PlanBuilder& builder);
void emit_maxima(const MaximaMatch& match, PlanBuilder& builder);

}  // namespace mobileone::fused
