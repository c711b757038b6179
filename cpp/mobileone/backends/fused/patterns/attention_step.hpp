// The step of self-attention alone.
#pragma once

#include "mobileone/backends/fused/patterns/attention_match.hpp"

namespace mobileone::fused {

void emit_attention(const AttentionMatch& match, PlanBuilder& builder);

}  // namespace mobileone::fused
