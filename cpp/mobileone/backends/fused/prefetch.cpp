#include <unistd.h>

#include <algorithm>

#include "mobileone/backends/fused/steps.hpp"
#include "mobileone/backends/fused/support.hpp"
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

// The last step that can prefetch for the one that is added next, or null.
PrefetchingStep* step_before(PlanBuilder& builder) {
  auto& steps = builder.steps;
  for (std::size_t back = 1; back <= std::min<std::size_t>(2, steps.size()); ++back) {
    Step& step = *steps[steps.size() - back];
    if (auto* prefetching = dynamic_cast<PrefetchingStep*>(&step)) return prefetching;
    if (step.info().kind != "GlobalAvgPool") break;
  }
  return nullptr;
}

}  // namespace

std::ptrdiff_t announce(const float* data, std::size_t bytes, PlanBuilder& builder) {
  PrefetchingStep* const step = step_before(builder);
  if (step == nullptr) return 0;
  const std::ptrdiff_t floats = std::min(floats_to_bring(), std::ptrdiff_t(bytes / sizeof(float)));
  step->set_next(data, floats);
  return floats;
}

std::ptrdiff_t announce_panel(const float* data, std::ptrdiff_t floats, PlanBuilder& builder) {
  PrefetchingStep* const step = step_before(builder);
  if (step == nullptr) return 0;
  step->set_next_panel(data, floats);
  return floats;
}

}  // namespace mobileone::fused
