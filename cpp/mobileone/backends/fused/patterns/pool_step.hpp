// The step of a global average pool.
#pragma once

#include "mobileone/backends/fused/patterns/pool_match.hpp"

namespace mobileone::fused {

void emit_pool(const PoolMatch& match, PlanBuilder& builder);

}  // namespace mobileone::fused
