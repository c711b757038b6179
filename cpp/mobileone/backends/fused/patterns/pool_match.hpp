// The global average pool of a map.
#pragma once

#include "mobileone/backends/fused/match.hpp"

namespace mobileone::fused {

struct PoolMatch : Match {
  NodeId source = -1;
};

std::optional<PoolMatch> match_pool(const Cursor& cursor);

}  // namespace mobileone::fused
