// Steps of the global half of a MobileViT block: one per pass of kernels/transformer.hpp.
#pragma once

#include "mobileone/backends/fused/patterns/transformer_match.hpp"

namespace mobileone::fused {

void emit_transformer(const TransformerMatch& match, const std::vector<LoweredOp>& ops,
                      PlanBuilder& builder);

}  // namespace mobileone::fused
