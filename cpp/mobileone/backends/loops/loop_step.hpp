// Steps of loops: what they share.
#pragma once

#include <utility>

#include "mobileone/base/spread.hpp"
#include "mobileone/plan/builder.hpp"
#include "mobileone/plan/describe.hpp"
#include "mobileone/plan/function_step.hpp"
#include "mobileone/plan/scratch.hpp"

namespace mobileone::loops {

// Adds the step of one operator.
template <typename Run>
void add_loop(const LoweredOp& op, PlanBuilder& builder, const std::vector<ValueId>& reads,
              const std::vector<ValueId>& writes, Run run, std::size_t scratch_bytes = 0) {
  builder.add_step(function_step(describe(op, builder, "loops"), std::move(run), scratch_bytes),
                   reads, writes);
}

inline ThreadPool* pool_of(const PlanBuilder& builder) {
  return shared_pool(builder.options().threads);
}

inline const float* input(const Buffers& buffers, ValueId id) {
  return static_cast<const float*>(buffers.address(id));
}
inline float* output(const Buffers& buffers, ValueId id) {
  return static_cast<float*>(buffers.address(id));
}

}  // namespace mobileone::loops
