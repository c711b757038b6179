// Activations in place, on results that are still in the cache.
#pragma once

#include <cstdint>
#include <optional>

#include "mobileone/graph/op.hpp"

namespace mobileone::loops {

// y[i] = f(x[i]); x may be y.
void activate(ActivationKind kind, const float* x, float* y, std::int64_t count);

// The same in place, of an operator that may have none attached.
inline void activate(const std::optional<ActivationKind>& kind, float* y, std::int64_t count) {
  if (kind) activate(*kind, y, y, count);
}

}  // namespace mobileone::loops
