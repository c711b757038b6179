// What the steps of training share.
#pragma once

#include <cstdint>
#include <string>

#include "mobileone/base/spread.hpp"
#include "mobileone/kernels/kernels.hpp"
#include "mobileone/plan/builder.hpp"
#include "mobileone/plan/describe.hpp"
#include "mobileone/plan/function_step.hpp"
#include "mobileone/plan/scratch.hpp"

namespace mobileone::training {

// The kernels of the instruction set in use; chosen once.
const kernels::KernelTable& table();

inline constexpr std::int64_t kBlock = kernels::kBlock;
// Maps are nChw16c without a border on every instruction set; padding channels hold zeros.
inline Layout map_layout() { return Layout::blocked(kernels::kBlock); }
inline std::int64_t blocks(std::int64_t channels) { return (channels + kBlock - 1) / kBlock; }
inline std::int64_t padded(std::int64_t channels) { return blocks(channels) * kBlock; }

inline float* floats(const Buffers& buffers, ValueId id) {
  return static_cast<float*>(buffers.address(id));
}
inline double* doubles(const Buffers& buffers, ValueId id) {
  return static_cast<double*>(buffers.address(id));
}

// work(task, worker) for every task; what a task makes depends on it alone, so that the number of
// threads changes no bit.
template <typename Work>
void each(ThreadPool* pool, std::int64_t tasks, const Work& work) {
  spread(pool, tasks, [&](std::int64_t begin, std::int64_t end, int worker) {
    for (std::int64_t task = begin; task < end; ++task) work(task, worker);
  });
}

inline ThreadPool* pool_of(const PlanBuilder& builder) {
  return shared_pool(builder.options().threads);
}

// Half-open range, such as part `index` of `parts` of [0, size).
struct Range {
  std::int64_t begin, end;
  Range(std::int64_t first, std::int64_t last) : begin(first), end(last) {}
  Range(std::int64_t size, std::int64_t parts, std::int64_t index)
      : begin(size * index / parts), end(size * (index + 1) / parts) {}
};

}  // namespace mobileone::training
