// The steps of a network's first convolution: alone, or with the pair that follows.
#pragma once

#include "mobileone/backends/fused/patterns/stem_match.hpp"

namespace mobileone::fused {

void emit_stem(const StemMatch& match, PlanBuilder& builder);
void emit_stem_conv(const StemConvMatch& match, PlanBuilder& builder);
void emit_stem_block(const StemBlockMatch& match, PlanBuilder& builder);

}  // namespace mobileone::fused
