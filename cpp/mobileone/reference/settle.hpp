// Running statistics for weights that have seen no data.
#pragma once

#include "mobileone/graph/graph.hpp"

namespace mobileone {

// The network with running statistics that keep activations near 1 at every layer, in eval mode and
// at any image size: each batch norm's are those of its input when one fixed image of N(0, 1)
// noise, kSettlingSize pixels a side (the input channels times it), passes the norms before it.
//
// A norm that subtracts the mean of few pixels lets through what other images have instead, and 40
// layers of ReLU enlarge that a millionfold. So n pixels count n / (n + kPriorPixels): the mean is
// shrunk that far towards 0, the second moment about it towards its average over the channels.
//
// float64 in a fixed order: the same statistics on every machine, with any number of threads (0:
// one per CPU). A graph without batch norms comes back as it is. Throws Error when the image is too
// small for the graph.
inline constexpr std::int64_t kSettlingSize = 64;
inline constexpr double kPriorPixels = 512;
Network settle(const Network& network, int threads = 0);

}  // namespace mobileone
