// A step that calls one function.
#pragma once

#include <memory>
#include <utility>

#include "mobileone/plan/step.hpp"

namespace mobileone {

// run(buffers) in every run: a function object that holds all that was decided.
template <typename Run>
class FunctionStep : public Step {
 public:
  FunctionStep(StepInfo info, Run run, std::size_t scratch_bytes)
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
std::unique_ptr<Step> function_step(StepInfo info, Run run, std::size_t scratch_bytes = 0) {
  return std::make_unique<FunctionStep<Run>>(std::move(info), std::move(run), scratch_bytes);
}

}  // namespace mobileone
