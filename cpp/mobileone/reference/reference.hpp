// The naive float64 executor: what every operator means, and the oracle of tests and of `verify`.
//
// Plain loops in NCHW order, one function per operator, no SIMD intrinsics. Every output element is
// accumulated by one thread in one fixed order, so results do not depend on the number of threads.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "mobileone/graph/graph.hpp"

namespace mobileone {

struct ReferenceTensor {
  Shape shape;
  std::vector<double> values;  // row-major, element_count(shape) of them
};

// Batch norm in eval mode reads the running statistics; in train mode it normalises with the
// batch's mean and biased variance (Ioffe & Szegedy 2015, algorithm 1).
enum class Mode { eval, train };

// Updated running statistics by weight name, e.g. "stage0.rbr_skip.running_var", as PyTorch makes
// them: running = (1 - momentum) * running + momentum * batch, with the unbiased batch variance.
using RunningStatistics = std::map<std::string, std::vector<double>>;

// What is given to a graph's inputs, by name: [N, C, H, W] each.
using ReferenceInputs = std::map<std::string, ReferenceTensor>;

// The results of `outputs`, in that order. Only the nodes that they depend on are executed, and
// every tensor is freed after its last reader. In train mode the new running statistics are stored
// in `updated` unless it is null; the network is never changed. `dropout_seed` says what Dropout
// drops in train mode. threads = 0: one per CPU. Throws Error on inputs that do not fit the graph,
// on a missing weight, and in train mode on a batch norm that sees a single value per channel.
std::vector<ReferenceTensor> reference_forward(const Network& network,
                                               const ReferenceInputs& inputs,
                                               const std::vector<NodeId>& outputs,
                                               Mode mode = Mode::eval,
                                               RunningStatistics* updated = nullptr,
                                               int threads = 0, std::uint64_t dropout_seed = 0);
// Of a graph with one input.
std::vector<ReferenceTensor> reference_forward(const Network& network, const ReferenceTensor& input,
                                               const std::vector<NodeId>& outputs,
                                               Mode mode = Mode::eval,
                                               RunningStatistics* updated = nullptr,
                                               int threads = 0, std::uint64_t dropout_seed = 0);

}  // namespace mobileone
