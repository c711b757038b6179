// Bringing what the next step reads first into L2 while a step computes.
#pragma once

#include "mobileone/plan/builder.hpp"

namespace mobileone::fused {

// What a step can do for the one after it: nothing; no more than leave the caches to the step
// before, so that whatever that brings is still there; or bring data itself.
enum class Prefetching { none, passes_on, brings };

// What the next step reads first.
struct NextRead {
  const float* data = nullptr;
  std::ptrdiff_t floats = 0;
  bool late = false;  // as late as possible, because weights that stream by push it out of L2 again
};

class PrefetchingStep : public Step {
 public:
  using Step::Step;
  virtual Prefetching prefetching() const { return Prefetching::none; }
  // Asks the step for data of any step after it, which need not fit L2; returns how much of it,
  // from the beginning on, the step brings.
  virtual std::ptrdiff_t bring(const float* /*data*/, std::ptrdiff_t /*floats*/) { return 0; }
  // Of a step that `brings`; called when the step after it is made.
  void set_next(const NextRead& next) { next_ = next; }

 protected:
  const NextRead& next() const { return next_; }

 private:
  NextRead next_;
};

// Asks the last step of the plan that brings data, if there are none but such that pass it on after
// it, for the beginning of `data`; returns how many floats it was asked to bring.
std::ptrdiff_t announce(const float* data, std::size_t bytes, const PlanBuilder& builder);
// The same for all of the little that a step reads first: as late as possible.
std::ptrdiff_t announce_late(const float* data, std::ptrdiff_t floats, const PlanBuilder& builder);
// Asks the steps before for all of the data, the last one for the beginning.
void announce_stream(const float* data, std::size_t bytes, const PlanBuilder& builder);

}  // namespace mobileone::fused
