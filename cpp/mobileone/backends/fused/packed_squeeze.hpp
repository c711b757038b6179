// A squeeze-and-excitation's packed weights.
#pragma once

#include <memory>

#include "mobileone/backends/fused/match.hpp"
#include "mobileone/kernels/block/squeeze_excite.hpp"

namespace mobileone::fused {

struct PackedSqueeze {
  kernels::SqueezeExcite shape;
  std::shared_ptr<const void> weights;  // null: there is none
  explicit operator bool() const { return weights != nullptr; }
};

// Of one whose activations the kernels know.
PackedSqueeze pack_squeeze(const SqueezeMatch& match, PlanBuilder& builder);

}  // namespace mobileone::fused
