// A step that brings weights into another order: in a training plan, whose weights change from run
// to run.
#pragma once

#include "mobileone/plan/builder.hpp"

namespace mobileone {

// pack(sources, result) in every run, on the calling thread.
std::unique_ptr<Step> pack_step(const std::string& name, const std::vector<Operand>& sources,
                                const Value& value, ValueId result, const PlanBuilder::Pack& pack);

// What profile() prints of such a step.
StepInfo pack_info(const std::string& name, const std::string& implementation, const Value& value);

}  // namespace mobileone
