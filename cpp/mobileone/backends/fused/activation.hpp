// The kernels' activations, by the graph's.
#pragma once

#include <optional>

#include "mobileone/graph/activations.hpp"
#include "mobileone/kernels/activation.hpp"

namespace mobileone::fused {

// What kernels apply for an operator's activation (or none); nothing when they have no such. The
// two tables agree on names.
std::optional<kernels::Activation> kernel_activation(std::optional<ActivationKind> kind);

// The same for maps, whose padding channels have to stay zero: only activations of which f(0) = 0.
std::optional<kernels::Activation> map_activation(std::optional<ActivationKind> kind);

}  // namespace mobileone::fused
