// The first convolution of a network, which makes a map of an image.
#pragma once

#include "mobileone/backends/fused/patterns/pair_match.hpp"

namespace mobileone::fused {

// A dense 3x3 stride-2 convolution of the network's three-channel input, and an activation.
struct StemMatch : Match {
  NodeId conv = -1;
  kernels::Activation activation = kernels::Activation::kNone;
};
std::optional<StemMatch> match_stem(const Cursor& cursor);

// The same and the stride-2 pair that follows: the map between them is never made.
struct StemPairMatch : Match {
  StemMatch stem;
  PairMatch pair;
};
std::optional<StemPairMatch> match_stem_pair(const Cursor& cursor);

}  // namespace mobileone::fused
