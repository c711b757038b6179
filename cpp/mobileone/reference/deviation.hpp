// How far fp32 results may stray from exact ones: standard deviations by Monte Carlo arithmetic
// (Parker 1997) with local rounding errors derived in docs/verification.md.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "mobileone/reference/reference.hpp"

namespace mobileone {

// Standard deviation of the fp32 rounding error in one result.
struct Deviation {
  double rms = 0.0;        // over all elements
  double local_max = 0.0;  // the largest over a few neighbouring pixels of one channel of one image
};

struct DeviationResult {
  std::vector<Deviation> outputs;  // in the order of the request
  // Train mode: of the updated running statistics, by weight name; local_max is the largest
  // channel's.
  std::map<std::string, Deviation> statistics;
};

// Runs the exact forward and `samples` forwards that differ from it by seeded random errors of
// fp32 size at every node, all in float64, and measures how far they end up from the exact one.
// threads = 0: one per CPU; the result does not depend on it. The input and the weight of the nodes
// `bfloat16` are rounded to that as they are read. Throws Error as reference_forward does, and when
// samples < 1.
DeviationResult error_deviation(const Network& network, const ReferenceInputs& inputs,
                                const std::vector<NodeId>& outputs, int samples, std::uint64_t seed,
                                Mode mode = Mode::eval, int threads = 0,
                                std::uint64_t dropout_seed = 0,
                                const std::vector<NodeId>& bfloat16 = {});
// Of a graph with one input.
DeviationResult error_deviation(const Network& network, const ReferenceTensor& input,
                                const std::vector<NodeId>& outputs, int samples, std::uint64_t seed,
                                Mode mode = Mode::eval, int threads = 0,
                                std::uint64_t dropout_seed = 0);

}  // namespace mobileone
