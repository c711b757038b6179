// Steps of dense convolutions, inverted residual blocks and their stem: each function adds one to
// the plan, for operators `ops` that a match took.
#pragma once

#include "mobileone/backends/fused/patterns/conv_match.hpp"

namespace mobileone::fused {

void emit_dense_conv(const DenseConvMatch& match, const std::vector<const LoweredOp*>& ops,
                     PlanBuilder& builder);
void emit_inverted_residual(const InvertedResidualMatch& match,
                            const std::vector<const LoweredOp*>& ops, PlanBuilder& builder);
void emit_silu_stem(const LoweredOp& op, PlanBuilder& builder);

}  // namespace mobileone::fused
