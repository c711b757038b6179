// Seeded random weights for any graph, the same on every machine.
#pragma once

#include <cstdint>

#include "mobileone/graph/graph.hpp"

namespace mobileone {

// Convolutions: He normal, fan-out of one group (He et al. 2015), so that signals keep their scale;
// linear layers: normal with standard deviation 0.01, or 0.02 in a graph with attention; biases 0;
// norms: weight 1, bias 0, running mean 0, running variance 1. The stream of each weight is keyed
// by (seed, name), so that adding a layer does not change the others.
Weights initialize(const Graph& graph, std::uint64_t seed);

}  // namespace mobileone
