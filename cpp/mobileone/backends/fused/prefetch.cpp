#include "mobileone/backends/fused/prefetch.hpp"

#include <unistd.h>

#include <algorithm>

#include "mobileone/kernels/tiling/cost_model.hpp"

namespace mobileone::fused {

namespace {

// Of the cache size alone: a stored plan must not have to measure the machine.
std::ptrdiff_t floats_to_bring() {
  kernels::MachineModel machine;
  const long bytes = sysconf(_SC_LEVEL2_CACHE_SIZE);  // 0 or -1 where the C library cannot tell
  machine.l2_bytes = bytes > 0 ? static_cast<double>(bytes) : 1024.0 * 1024;
  return kernels::next_step_floats(machine);
}

// The step that can bring data for the one that is added next, or null.
PrefetchingStep* step_before(const PlanBuilder& builder) {
  for (auto step = builder.steps.rbegin(); step != builder.steps.rend(); ++step) {
    auto* const candidate = dynamic_cast<PrefetchingStep*>(step->get());
    if (candidate == nullptr || candidate->prefetching() == Prefetching::none) return nullptr;
    if (candidate->prefetching() == Prefetching::brings) return candidate;
  }
  return nullptr;
}

std::ptrdiff_t ask(const NextRead& next, const PlanBuilder& builder) {
  PrefetchingStep* const step = step_before(builder);
  if (step == nullptr) return 0;
  step->set_next(next);
  return next.floats;
}

}  // namespace

std::ptrdiff_t announce(const float* data, std::size_t bytes, const PlanBuilder& builder) {
  const std::ptrdiff_t floats = std::min(floats_to_bring(), std::ptrdiff_t(bytes / sizeof(float)));
  return ask({data, floats, false}, builder);
}

void announce_stream(const float* data, std::size_t bytes, const PlanBuilder& builder) {
  auto rest = static_cast<std::ptrdiff_t>(bytes / sizeof(float));
  for (auto step = builder.steps.rbegin(); step != builder.steps.rend() && rest > 0; ++step) {
    auto* const candidate = dynamic_cast<PrefetchingStep*>(step->get());
    const std::ptrdiff_t part = candidate == nullptr ? 0 : candidate->bring(data, rest);
    data += part;
    rest -= part;
  }
}

std::ptrdiff_t announce_late(const float* data, std::ptrdiff_t floats, const PlanBuilder& builder) {
  return ask({data, floats, true}, builder);
}

}  // namespace mobileone::fused
