// The kernels' activations, by the graph's.
#pragma once

#include <optional>

#include "mobileone/graph/op.hpp"
#include "mobileone/kernels/activation.hpp"

namespace mobileone::fused {

// What kernels apply for an operator's activation (or none); nothing when they have no such.
std::optional<kernels::Activation> kernel_activation(std::optional<ActivationKind> activation);

// Whether the microkernels apply it as a floor of their sums. Others take a pass of their own.
bool is_floor(kernels::Activation activation);

}  // namespace mobileone::fused
