// The step of the classifier in integers.
#pragma once

#include "mobileone/backends/fused/patterns/quantized_linear_match.hpp"

namespace mobileone::fused {

void emit_quantized_linear(const QuantizedLinearMatch& match, PlanBuilder& builder);

}  // namespace mobileone::fused
