// A linear layer on pooled features: the classifier.
#pragma once

#include "mobileone/backends/fused/match.hpp"

namespace mobileone::fused {

struct LinearMatch : Match {
  NodeId source = -1;  // [N, in, 1, 1]
  NodeId linear = -1;
};

std::optional<LinearMatch> match_linear(const Cursor& cursor);

}  // namespace mobileone::fused
