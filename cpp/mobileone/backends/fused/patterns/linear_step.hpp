// The step of the classifier, and of other linear layers of one pixel.
#pragma once

#include <memory>

#include "mobileone/backends/fused/patterns/linear_match.hpp"
#include "mobileone/kernels/kernels.hpp"

namespace mobileone::fused {

void emit_linear(const LinearMatch& match, PlanBuilder& builder);

// Products of the batch's pixels [N, in] in 16-channel blocks with weights that are packed
// already; `dst` is [N, out].
struct LinearWork {
  const kernels::KernelTable* kernels = nullptr;  // that the plan is for
  kernels::LinearPlan plan;
  int batch = 0;
  kernels::Activation activation = kernels::Activation::kNone;
  std::shared_ptr<const void> weights;
  ValueId src = -1, dst = -1;
};
void add_linear(StepInfo info, const LinearWork& work, PlanBuilder& builder);

}  // namespace mobileone::fused
