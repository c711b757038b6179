// The step of a MobileOne block.
#pragma once

#include <memory>

#include "mobileone/backends/fused/patterns/pair_match.hpp"
#include "mobileone/kernels/block/dwpw.hpp"

namespace mobileone::fused {

void emit_pair(const PairMatch& match, PlanBuilder& builder);

// A pair's plan and packed weights.
struct PackedPair {
  kernels::DwPwPlan plan;
  std::shared_ptr<const void> weights;
  const float* data() const { return static_cast<const float*>(weights.get()); }
  // "direct rows=7"
  std::string details() const;
};
// `one_part`: a tile's output channels are not divided.
PackedPair pack_pair(const PairMatch& match, bool one_part, PlanBuilder& builder);

}  // namespace mobileone::fused
