// Are two networks the same weights, however far each is re-parameterized? Their exact float64
// algebra is compared, element by element, in units of what float32 rounding explains.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "mobileone/graph/graph.hpp"

namespace mobileone {

// The element of one weight of the inference form that comes closest to its bound, or leaves it.
struct WeightDifference {
  NodeId node;  // of the inference form's graph
  std::string weight;
  std::int64_t element;  // row-major
  double reference, candidate;
  double bound;  // on |candidate - reference|, derived in docs/verification.md
  // |candidate - reference| / bound; infinite where a value is not finite.
  double ratio() const;
};

struct WeightComparison {
  Graph graph;  // of both inference forms
  std::vector<WeightDifference> weights;
};

// Nothing when the two inference forms are not one graph. The biases of attention's keys are left
// out: they add one number to all scores of a query, which its softmax cancels.
std::optional<WeightComparison> compare_weights(const Network& reference, const Network& candidate);

}  // namespace mobileone
