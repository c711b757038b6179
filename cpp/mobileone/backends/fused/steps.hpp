// The steps that run on the fused kernels: each function adds one to the plan.
#pragma once

#include "mobileone/backends/fused/match.hpp"
#include "mobileone/kernels/block/block.hpp"

namespace mobileone::fused {

void emit_pair(const PairMatch& match, PlanBuilder& builder);
// The stem alone, or with the stride-2 pair that follows it.
void emit_stem(const ConvMatch& stem, PlanBuilder& builder);
void emit_stem_pair(const ConvMatch& stem, const PairMatch& pair, PlanBuilder& builder);
void emit_pool(const LoweredOp& op, PlanBuilder& builder);
void emit_linear(const Linear& linear, const LoweredOp& op, PlanBuilder& builder);

// Between a bordered map and any other layout; null when neither has a border.
std::unique_ptr<Step> reorder_step(ValueId from, ValueId to, const PlanBuilder& builder);

// A step that brings what the step behind it reads first into L2 while it computes.
class PrefetchingStep : public Step {
 public:
  using Step::Step;
  virtual void set_next(const float* data, std::ptrdiff_t floats) = 0;
  // The same for the little that the step behind reads first: as late as possible.
  virtual void set_next_panel(const float* data, std::ptrdiff_t floats) { set_next(data, floats); }
};

// Tells the last PrefetchingStep of the plan, when there is nothing but a pooling behind it, that
// `data` comes next; returns how many floats it was asked to bring.
std::ptrdiff_t announce(const float* data, std::size_t bytes, PlanBuilder& builder);
// The same for the first panel of a pair's weights.
std::ptrdiff_t announce_panel(const float* data, std::ptrdiff_t floats, PlanBuilder& builder);

// A pair's plan and packed weights.
struct PackedPair {
  kernels::BlockPlan plan;
  std::shared_ptr<const void> weights;
  const float* data() const { return static_cast<const float*>(weights.get()); }
};
PackedPair pack_pair(const PairMatch& match, bool one_part, PlanBuilder& builder);
std::string algorithm_name(const kernels::BlockPlan& plan);

}  // namespace mobileone::fused
