// What profile() prints of a step, derived from the operators that it executes.
#pragma once

#include <string>
#include <vector>

#include "mobileone/plan/builder.hpp"

namespace mobileone {

// Name and kind of the operators, shapes of the first one's inputs and of the last one's result,
// their MACs, and the bytes that the step has to move: its inputs, its result, and all weights.
StepInfo describe(const std::vector<const LoweredOp*>& ops, const PlanBuilder& builder,
                  const std::string& implementation);
StepInfo describe(const LoweredOp& op, const PlanBuilder& builder,
                  const std::string& implementation);

}  // namespace mobileone
