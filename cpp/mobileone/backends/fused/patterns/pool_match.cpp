#include "mobileone/backends/fused/patterns/pool_match.hpp"

#include "mobileone/backends/fused/support.hpp"

namespace mobileone::fused {

std::optional<PoolMatch> match_pool(const Cursor& at) {
  Cursor cursor = at;
  if (!cursor.take<GlobalAvgPool>() || !is_map(at.inputs()[0], at.builder())) return std::nullopt;
  return PoolMatch{{cursor.taken()}, at.inputs()[0]};
}

}  // namespace mobileone::fused
