// What a train-mode forward leaves behind: the running statistics of every batch norm.
#pragma once

#include <vector>

#include "mobileone/graph/graph.hpp"

namespace mobileone {

// Per channel, over batch and pixels: the mean and the biased variance of a batch norm's input.
struct BatchStatistics {
  NodeId node;
  std::int64_t count;  // elements per channel
  const float* mean;
  const float* variance;
};

// A network whose running statistics have moved towards the batch's, as in PyTorch:
// running = (1 - momentum) * running + momentum * batch, with the unbiased variance
// var * count / (count - 1), and num_batches_tracked + 1. All other weights are shared.
Network update_running_statistics(const Network& network,
                                  const std::vector<BatchStatistics>& batch);

}  // namespace mobileone
