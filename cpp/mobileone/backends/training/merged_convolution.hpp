// The forward and backward steps of a sum of branches by moments, as they are emitted.
#pragma once

#include "mobileone/backends/training/branch_sum.hpp"
#include "mobileone/backends/training/support.hpp"

namespace mobileone::training {

// Emits all steps, and records those of the backward half.
void emit_depthwise(const BranchSum& sum, PlanBuilder& builder);
void emit_dense(const BranchSum& sum, PlanBuilder& builder);
// Of plans with gradients: a convolution that is in no sum; false where the kernels have none.
bool emit_plain(const LoweredOp& op, PlanBuilder& builder);

// What both share: the weights and statistics of every branch, in its order.
struct BranchOperands {
  struct One {
    Operand weight;  // of the convolution; none in an identity branch
    Operand gamma, beta;
    ValueId mean, variance;  // the batch's, which the plan hands out
    double eps;
    std::vector<std::int64_t> taps;
    // Gradients; -1 in plans without.
    ValueId dweight = -1, dgamma = -1, dbeta = -1;

    bool identity() const { return taps.empty(); }
  };
  std::vector<One> branches;

  BranchOperands(const BranchSum& sum, PlanBuilder& builder);
  // Makes the values of the gradients.
  void add_gradients(const BranchSum& sum, PlanBuilder& builder);

  std::vector<ValueId> weights() const;
  std::vector<ValueId> statistics() const;
  std::vector<ValueId> gradients() const;
};

// What profile() prints of one of the steps.
StepInfo describe_part(const BranchSum& sum, const PlanBuilder& builder, const std::string& part,
                       std::int64_t macs);

// The floor of a kernel's output: ReLU's, or none.
float floor_of(const BranchSum& sum);
// Whether the input's gradient can leave out what its own ReLU drops: nobody else reads the input.
bool masks_input(const BranchSum& sum, const PlanBuilder& builder);

}  // namespace mobileone::training
