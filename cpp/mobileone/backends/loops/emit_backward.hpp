// One function per operator: takes the gradient of its result from the builder, adds a step that
// makes those of its inputs and weights. Its forward steps have been added, and what they read and
// wrote is there again.
#pragma once

#include "mobileone/backends/loops/loop_step.hpp"

namespace mobileone::loops {

// In <operator>_backward.cpp; one that is missing does not link. Called where the result depends on
// weights.
template <typename Operator>
void emit_backward(const Operator& attributes, const LoweredOp& op, PlanBuilder& builder);

// Adds the backward step of one operator.
template <typename Run>
void add_backward_loop(const LoweredOp& op, PlanBuilder& builder, const std::vector<ValueId>& reads,
                       const std::vector<ValueId>& writes, Run run, std::size_t scratch_bytes = 0) {
  StepInfo info = describe(op, builder, "loops");
  info.kind += " backward";
  info.macs *= 2;
  builder.add_step(function_step(std::move(info), std::move(run), scratch_bytes), reads, writes);
}

// The same of an operator with a weight, which it may read; of `writes` those that are negative are
// not wanted.
template <typename Run>
void add_backward_loop(const LoweredOp& op, PlanBuilder& builder, std::vector<ValueId> reads,
                       const Operand& weight, std::vector<ValueId> writes, Run run) {
  const std::vector<ValueId> packed = PlanBuilder::values_of({weight});
  reads.insert(reads.begin(), packed.begin(), packed.end());
  std::erase_if(writes, [](ValueId id) { return id < 0; });
  add_backward_loop(op, builder, reads, writes, std::move(run));
}

// to = sum of from, all of one shape and layout.
std::unique_ptr<Step> sum_step(const std::vector<ValueId>& from, ValueId to,
                               const PlanBuilder& builder);
// result = gradient x derivative, of an activation that follows_from_result.
std::unique_ptr<Step> activation_gradient_step(ActivationKind kind,
                                               const ActivationGradient& values,
                                               const PlanBuilder& builder);
// loss = the mean over N of -sum_k targets log softmax(logits), and its gradient for the logits.
std::unique_ptr<Step> cross_entropy_step(const CrossEntropy& values, const PlanBuilder& builder);

}  // namespace mobileone::loops
