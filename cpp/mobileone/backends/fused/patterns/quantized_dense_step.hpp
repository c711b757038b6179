#pragma once

#include "mobileone/backends/fused/patterns/quantized_dense_match.hpp"

namespace mobileone::fused {

void emit_quantized_dense(const QuantizedDenseMatch& match, PlanBuilder& builder);

}  // namespace mobileone::fused
