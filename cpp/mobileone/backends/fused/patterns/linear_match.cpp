#include "mobileone/backends/fused/patterns/linear_match.hpp"

namespace mobileone::fused {

std::optional<LinearMatch> match_linear(const Cursor& at) {
  Cursor cursor = at;
  const bool fits = cursor.take<Linear>() && !cursor.activation() &&
                    at.builder().shape(at.inputs()[0]).size() == 4;
  if (!fits) return std::nullopt;
  return LinearMatch{{cursor.taken()}, at.inputs()[0], cursor.node()};
}

}  // namespace mobileone::fused
