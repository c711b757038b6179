// Convolutions of every channel with taps of its own.
#pragma once

#include "mobileone/plan/builder.hpp"

namespace mobileone::loops {

void emit_depthwise(const Conv2d& conv, const LoweredOp& op, PlanBuilder& builder);

}  // namespace mobileone::loops
