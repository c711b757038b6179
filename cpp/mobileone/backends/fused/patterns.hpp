// The patterns that this backend runs as fused steps.
#pragma once

#include <span>

#include "mobileone/backends/fused/match.hpp"

namespace mobileone::fused {

struct Pattern {
  const char* name;
  // Adds the steps of the pattern that begins at the cursor, and returns how many lowered operators
  // it takes; 0 when it does not begin there.
  std::size_t (*emit)(const Cursor& cursor, PlanBuilder& builder);
};

// In the order in which they are tried: the first that fits is taken.
std::span<const Pattern> patterns();

}  // namespace mobileone::fused
