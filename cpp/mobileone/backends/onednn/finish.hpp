// Activations that are not left to oneDNN: its ReLU and its hard sigmoid turn NaN into a number,
// and others it may not have.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "mobileone/plan/builder.hpp"

namespace mobileone::onednn {

// Whether there is an activation and neither a post-op nor a primitive for it (elementwise.cpp).
bool is_ours(const std::optional<ActivationKind>& activation);

// The activation that a step applies to what its primitive wrote: one that is_ours, or none.
inline std::optional<ActivationKind> left_to_finish(
    const std::optional<ActivationKind>& activation) {
  return is_ours(activation) ? activation : std::nullopt;
}

// y[i] = f(x[0][i] + x[1][i] + ...), added in this order; f is the identity or the activation, and
// passes NaN on: ReLU, ReLU6 and hard sigmoid vectorized, else the graph's own function. On the
// calling thread's OpenMP team. y may be x[0].
void sum_and_finish(const float* const* x, std::size_t summands, float* y, std::int64_t count,
                    const std::optional<ActivationKind>& activation);

// Adds the step that does this for whole values of one layout.
void add_sum(const LoweredOp& op, PlanBuilder& builder, const std::vector<ValueId>& summands,
             ValueId result, const std::optional<ActivationKind>& activation);

// The one number with which oneDNN's PReLU is a ReLU that passes NaN on: -0, so that negative
// values become +0. An infinite negative value becomes NaN.
std::shared_ptr<const void> relu_slope();

}  // namespace mobileone::onednn
