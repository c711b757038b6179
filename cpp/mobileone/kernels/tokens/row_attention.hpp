// Scaled dot-product attention (Vaswani et al., 2017, section 3.2.1): one head of one sequence,
// tokens row by row as a linear layer leaves them. In training, and where it is a step of its own.
#pragma once

#include <cstddef>

#include "mobileone/kernels/isa.hpp"
#include "mobileone/kernels/layout.hpp"

namespace mobileone::kernels {

struct RowAttention {
  int tokens = 0;
  int features = 0;                // of the head
  std::ptrdiff_t packed_step = 0;  // floats from one token's queries, keys and values to the next's
  std::ptrdiff_t result_step = 0;  // the same of results

  /// Scratch in floats.
  std::ptrdiff_t forward_floats(const IsaTraits& traits) const {
    const std::ptrdiff_t panel = traits.token_columns();
    return 2 * transposed_floats(traits) + (tokens + features + 1) * panel;
  }
  std::ptrdiff_t gradient_floats(const IsaTraits& traits) const {
    const std::ptrdiff_t panel = traits.token_columns();
    return 4 * transposed_floats(traits) + (2 * tokens + features + 1) * panel +
           4 * std::ptrdiff_t{tokens} * padded(features);
  }
  /// Of [features][tokens], up to whole panels.
  std::ptrdiff_t transposed_floats(const IsaTraits& traits) const {
    const int panel = traits.token_columns();
    return std::ptrdiff_t{features} * ceil_div(tokens, panel) * panel;
  }
};

/// The head's part of the packed projections: its first token's.
struct PackedHead {
  const float* queries = nullptr;
  const float* keys = nullptr;
  const float* values = nullptr;
};

/// y = softmax(Q K' / sqrt(features)) V.
struct AttentionForward {
  RowAttention shape;
  PackedHead x;
  float* y = nullptr;
  float* scratch = nullptr;
};

/// From the gradient of y those of Q, K and V, which lie as these do. Weights are made again.
struct AttentionGradient {
  RowAttention shape;
  PackedHead x;
  const float* dy = nullptr;
  float* dqueries = nullptr;
  float* dkeys = nullptr;
  float* dvalues = nullptr;
  float* scratch = nullptr;
};

}  // namespace mobileone::kernels
