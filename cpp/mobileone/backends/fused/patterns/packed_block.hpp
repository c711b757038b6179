// How a block is cut up, and its weights as the kernels read them.
#pragma once

#include <memory>

#include "mobileone/backends/fused/patterns/block_match.hpp"

namespace mobileone::fused {

// A block's plan and packed weights.
struct PackedBlock {
  kernels::BlockPlan plan;
  std::shared_ptr<const void> weights;
  bool tuned = false;  // cut up as measurements found best
  const float* data() const { return static_cast<const float*>(weights.get()); }
  // "direct rows=7 tuned"
  std::string details() const;
};
// `one_part`: a tile's output channels are not divided.
PackedBlock pack_block(const BlockMatch& match, bool one_part, PlanBuilder& builder);

}  // namespace mobileone::fused
