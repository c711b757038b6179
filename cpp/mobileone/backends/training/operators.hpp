// Linear layers and attention of plans with gradients, forward and backward, on the kernels of
// training. Each returns false where it is not the operator, or not one that the kernels have.
#pragma once

#include "mobileone/backends/training/support.hpp"

namespace mobileone::training {

bool emit_linear(const LoweredOp& op, PlanBuilder& builder);
bool emit_attention(const LoweredOp& op, PlanBuilder& builder);

// "training avx512"
std::string implementation();
// What profile() prints of a backward step with that many multiply-adds.
StepInfo describe_backward(const LoweredOp& op, const PlanBuilder& builder, const std::string& part,
                           std::int64_t macs);

}  // namespace mobileone::training
