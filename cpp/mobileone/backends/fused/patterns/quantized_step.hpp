#pragma once

#include "mobileone/backends/fused/patterns/quantized_match.hpp"

namespace mobileone::fused {

void emit_quantized_stem(const QuantizedStemMatch& match, PlanBuilder& builder);
void emit_quantized_block(const QuantizedBlockMatch& match, PlanBuilder& builder);
void emit_quantized_excite(const QuantizedExciteMatch& match, PlanBuilder& builder);
void emit_quantized_pool(const QuantizedPoolMatch& match, PlanBuilder& builder);

}  // namespace mobileone::fused
