#include <unistd.h>

#include <algorithm>

#include "mobileone/fused/steps.hpp"
#include "mobileone/fused/support.hpp"
#include "mobileone/kernels/cost_model.hpp"

namespace mobileone::fused {

namespace {

// Of the cache size alone: a stored plan must not have to measure the machine.
std::ptrdiff_t floats_to_bring() {
  kernels::MachineModel machine;
  const long bytes = sysconf(_SC_LEVEL2_CACHE_SIZE);  // 0 or -1 where the C library cannot tell
  machine.l2_bytes = bytes > 0 ? static_cast<double>(bytes) : 1024.0 * 1024;
  return kernels::next_step_floats(machine);
}

}  // namespace

std::ptrdiff_t announce(const float* data, std::size_t bytes, PlanBuilder& builder) {
  auto& steps = builder.steps;
  for (std::size_t back = 1; back <= std::min<std::size_t>(2, steps.size()); ++back) {
    Step& step = *steps[steps.size() - back];
    if (auto* prefetching = dynamic_cast<PrefetchingStep*>(&step)) {
      const std::ptrdiff_t floats =
          std::min(floats_to_bring(), std::ptrdiff_t(bytes / sizeof(float)));
      prefetching->set_next(data, floats);
      return floats;
    }
    if (step.info().kind != "GlobalAvgPool") break;
  }
  return 0;
}

}  // namespace mobileone::fused
