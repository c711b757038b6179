// Steps of squeeze-and-excitation and pools of 8-bit integers.
#pragma once

#include "mobileone/backends/fused/patterns/quantized_excite_match.hpp"

namespace mobileone::fused {

void emit_quantized_excite(const QuantizedExciteMatch& match, PlanBuilder& builder);
void emit_quantized_excite_pool(const QuantizedExcitePoolMatch& match, PlanBuilder& builder);
void emit_quantized_pool(const QuantizedPoolMatch& match, PlanBuilder& builder);

}  // namespace mobileone::fused
