// Convolutions of a plan that is run once: the weights are read where they lie rather than packed
// first. Sums of branches are what running statistics make of them.
#pragma once

#include <optional>
#include <vector>

#include "mobileone/backends/training/branch_sum.hpp"
#include "mobileone/backends/training/support.hpp"

namespace mobileone::single_run {

using namespace training;  // its sums of branches, and what its steps share

// What follows a branch's convolution, by channel: its batch norm in evaluation, or, without one,
// the convolution's bias, which may be null. The network's own arrays: a plan keeps its network.
struct BranchNorm {
  BranchNorm(const Branch& branch, std::int64_t channels, const PlanBuilder& builder);

  std::int64_t channels;
  const float *beta = nullptr, *gamma = nullptr, *mean = nullptr, *variance = nullptr;
  double eps = 0.0;
};

// y = (x - mean) scale + shift for 16 channels; zeros beyond the last.
struct BlockNorm {
  BlockNorm(const BranchNorm& norm, std::int64_t block);

  double mean[kBlock] = {}, scale[kBlock] = {}, shift[kBlock] = {};
};

// A branch without a norm has its own bias, as a convolution alone.
std::optional<BranchSum> match_sum(const std::vector<LoweredOp>& ops, std::size_t at,
                                   const PlanBuilder& builder);

// What kernels apply for an activation, or for none; nothing where they have no such.
std::optional<kernels::Activation> kernel_activation(std::optional<ActivationKind> kind);

// A node's weight as it lies; throws Error where that is not float32.
const float* float_weight(NodeId node, const PlanBuilder& builder);

// Each emits a step, or none and returns false where others are faster.
bool emit_dense(const BranchSum& sum, PlanBuilder& builder);
bool emit_depthwise(const BranchSum& sum, PlanBuilder& builder);
bool emit_linear(const LoweredOp& op, PlanBuilder& builder);

// What profile() prints of one.
StepInfo describe_sum(const BranchSum& sum, const PlanBuilder& builder);

}  // namespace mobileone::single_run
