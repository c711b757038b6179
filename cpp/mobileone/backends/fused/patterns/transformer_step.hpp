// Steps of the global half of a MobileViT block: one per pass of kernels/tokens/transformer.hpp.
#pragma once

#include "mobileone/backends/fused/patterns/transformer_match.hpp"

namespace mobileone::fused {

void emit_transformer(const TransformerMatch& match, PlanBuilder& builder);

}  // namespace mobileone::fused
