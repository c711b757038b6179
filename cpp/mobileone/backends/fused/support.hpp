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

// Whether a node's result is such a map.
bool is_map(NodeId id, const PlanBuilder& builder);

kernels::MapShape map_shape(const Shape& shape);

// What profile() calls a step on these kernels: "fused avx512 direct rows=7".
std::string implementation(const std::string& details = "");

// float32 weight and bias of a convolution, a linear layer or a norm, looked up when asked for: the
// network of a stored plan has none.
class NodeWeights {
 public:
  NodeWeights(NodeId id, const PlanBuilder& builder) : node_(builder.node(id)), builder_(builder) {}
  const float* weight() const;
  const float* bias() const;  // null when the operator has none

 private:
  const Node& node_;
  const PlanBuilder& builder_;
};

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

constexpr std::size_t aligned_bytes(std::size_t bytes) {
  return (bytes + kernels::kAlignment - 1) / kernels::kAlignment * kernels::kAlignment;
}

}  // namespace mobileone::fused
