// The step of a block.
#pragma once

#include "mobileone/backends/fused/patterns/block_match.hpp"

namespace mobileone::fused {

void emit_block(const BlockMatch& match, PlanBuilder& builder);

}  // namespace mobileone::fused
