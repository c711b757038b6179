// What is done with the elements of maps between convolutions.
#pragma once

#include "mobileone/backends/fused/match.hpp"
#include "mobileone/kernels/activation.hpp"

namespace mobileone::fused {

// The sum of two maps, or one map times the factors of a squeeze-and-excitation of it, or one alone
// for the sake of the activation that follows.
struct ElementsMatch : Match {
  NodeId a = -1;
  NodeId b = -1;  // or none
  std::optional<SqueezeMatch> excite;
  kernels::Activation activation = kernels::Activation::kNone;
};

std::optional<ElementsMatch> match_excite(const Cursor& cursor);
std::optional<ElementsMatch> match_sum(const Cursor& cursor);
std::optional<ElementsMatch> match_activation(const Cursor& cursor);

// Maxima of square windows.
struct MaximaMatch : Match {
  NodeId source = -1;
};

std::optional<MaximaMatch> match_maxima(const Cursor& cursor);

}  // namespace mobileone::fused
