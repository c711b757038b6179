// What the fused steps share: the machine's kernels, packed weights, and how work is spread.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>

#include "mobileone/base/thread_pool.hpp"
#include "mobileone/kernels/tiling/cost_model.hpp"
#include "mobileone/plan/builder.hpp"
#include "mobileone/plan/describe.hpp"

namespace mobileone::fused {

// The kernels of the instruction set in use (MOBILEONE_MAX_ISA limits it); chosen once.
const kernels::KernelTable& table();

// Bordered maps of the fused kernels.
inline Layout map_layout() { return Layout::blocked(kernels::kBlock, 1); }

kernels::MapShape map_shape(const Shape& shape);

// float32 data of a weight of the network, or null when `present` is false.
const float* weight_data(const PlanBuilder& builder, const std::string& name, bool present = true);

// Zeroes the borders of every image of a map that is about to be written.
void zero_borders(const kernels::MapShape& map, std::int64_t images, ValueId id,
                  const Buffers& buffers);

// The process's pool of that many threads, made on first use and kept; null for one. Takes a lock:
// steps ask for theirs when they are made.
ThreadPool* pool(int threads);

// Calls work(begin, end, worker) for parts that cover [0, units); `worker`, below its number of
// threads, names the scratch to use. A few parts per thread: a thread that falls behind leaves some
// to the others, and what a part costs once stays small. Without a pool, or when it is busy with
// another run, there is one part.
template <typename Work>
void spread(ThreadPool* pool, int units, const Work& work, int parts_per_thread = 4) {
  const int parts = pool ? std::min(units, parts_per_thread * pool->threads()) : 1;
  const auto one = [&](int worker, int part) {
    const auto bound = [&](int index) {
      return static_cast<int>(std::int64_t{units} * index / parts);
    };
    work(bound(part), bound(part + 1), worker);
  };
  if (!pool || !pool->run(parts, one)) work(0, units, 0);
}

// The compile option, as the cost model takes it.
kernels::AlgorithmChoice algorithm_choice(Algorithm algorithm);

// What choose(choice, threads) returns for a batch, whose images are spread over the plan's threads
// before the tiles of one are. What an image's bits depend on is chosen as if it were alone: the
// algorithm, and the rows of a tile where Strassen's algorithm pairs its pixels or where `sums` of
// the output are made per tile.
template <typename Choose>
kernels::Tiling batch_tiling(std::int64_t images, bool sums, const CompileOptions& options,
                             const Choose& choose) {
  kernels::Tiling alone = choose(algorithm_choice(options.algorithm), options.threads);
  if (images <= 1) return alone;
  const int threads = static_cast<int>(std::max<std::int64_t>(1, options.threads / images));
  if (alone.algorithm == kernels::Algorithm::kDirect && !sums) {
    return choose(kernels::AlgorithmChoice::kDirect, threads);
  }
  alone.column_parts = std::min(alone.column_parts, threads);
  return alone;
}

constexpr std::size_t aligned_bytes(std::size_t bytes) {
  return (bytes + kernels::kAlignment - 1) / kernels::kAlignment * kernels::kAlignment;
}

}  // namespace mobileone::fused
