// A step that calls one function.
#pragma once

#include <utility>

#include "mobileone/base/spread.hpp"
#include "mobileone/plan/builder.hpp"
#include "mobileone/plan/describe.hpp"

namespace mobileone::loops {

// run(buffers) in every run: a function object that holds all that was decided.
template <typename Run>
class LoopStep : public Step {
 public:
  LoopStep(StepInfo info, Run run, std::size_t scratch_bytes)
      : Step(std::move(info)), run_(std::move(run)), scratch_bytes_(scratch_bytes) {}

  std::size_t scratch_bytes() const override { return scratch_bytes_; }
  std::unique_ptr<BoundStep> bind(const Buffers& buffers) const override {
    return std::make_unique<Bound>(run_, buffers);
  }

 private:
  class Bound : public BoundStep {
   public:
    Bound(const Run& run, const Buffers& buffers) : run_(run), buffers_(buffers) {}
    void run() override { run_(buffers_); }

   private:
    const Run& run_;
    const Buffers& buffers_;
  };

  Run run_;
  std::size_t scratch_bytes_;
};

template <typename Run>
std::unique_ptr<Step> loop_step(StepInfo info, Run run, std::size_t scratch_bytes = 0) {
  return std::make_unique<LoopStep<Run>>(std::move(info), std::move(run), scratch_bytes);
}

// Adds the step of one operator.
template <typename Run>
void add_loop(const LoweredOp& op, PlanBuilder& builder, const std::vector<ValueId>& reads,
              const std::vector<ValueId>& writes, Run run, std::size_t scratch_bytes = 0) {
  builder.add_step(loop_step(describe(op, builder, "loops"), std::move(run), scratch_bytes), reads,
                   writes);
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
