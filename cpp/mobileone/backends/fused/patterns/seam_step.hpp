#pragma once

#include "mobileone/backends/fused/patterns/seam_match.hpp"

namespace mobileone::fused {

void emit_seam(const SeamMatch& match, PlanBuilder& builder);

}  // namespace mobileone::fused
