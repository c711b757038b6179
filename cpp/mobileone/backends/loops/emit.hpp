// One function per operator: reads its inputs from the builder, adds a step and its result.
#pragma once

#include "mobileone/plan/builder.hpp"

namespace mobileone::loops {

// Specialised for every operator, in <operator>.cpp: one that is forgotten does not link.
template <typename Operator>
void emit(const Operator& attributes, const LoweredOp& op, PlanBuilder& builder);

// A copy into another layout, neither with a border; else null.
std::unique_ptr<Step> reorder_step(ValueId from, ValueId to, const PlanBuilder& builder);

}  // namespace mobileone::loops
