// Copies between bordered maps and other layouts.
#pragma once

#include "mobileone/plan/builder.hpp"

namespace mobileone::fused {

// Null when neither layout has a border.
std::unique_ptr<Step> reorder_step(ValueId from, ValueId to, const PlanBuilder& builder);

}  // namespace mobileone::fused
