// What the fused steps share: the machine's kernels, packed weights, and how work is spread.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>

#include "mobileone/base/spread.hpp"
#include "mobileone/kernels/quantized/quantized.hpp"
#include "mobileone/kernels/tiling/cost_model.hpp"
#include "mobileone/plan/builder.hpp"
#include "mobileone/plan/describe.hpp"

namespace mobileone::fused {

// The kernels of the instruction set in use (MOBILEONE_MAX_ISA limits it); chosen once.
const kernels::KernelTable& table();

// Those of the plan's arithmetic; throws Error naming what this CPU, or MOBILEONE_MAX_ISA, lacks.
const kernels::KernelTable& table(const PlanBuilder& builder);

// Bordered maps of the fused kernels.
inline Layout map_layout() { return Layout::blocked(kernels::kBlock, 1); }

// The kernels of 8-bit integers; null on a CPU without them.
const kernels::QuantizedKernels* quantized_kernels();

// Whether a node's result is such a map.
bool is_map(NodeId id, const PlanBuilder& builder);

kernels::MapShape map_shape(const Shape& shape);
kernels::ByteMap byte_map(const Shape& shape);

// What profile() calls a step on these kernels: "fused avx512 direct rows=7", or of bfloat16
// "fused avx512_bf16 ...", "fused avx2_bf16 emulated ...".
std::string implementation(const std::string& details = "",
                           const kernels::KernelTable& kernels = table());

// What weights packed for these kernels are filed under beside those of float32: "", or a space and
// the kernels' name. Notes that the node's operands are rounded, where they are.
std::string note_precision(NodeId id, const kernels::KernelTable& kernels, PlanBuilder& builder);

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

inline ThreadPool* pool(int threads) { return shared_pool(threads); }

// The compile option, as the cost model takes it.
kernels::AlgorithmChoice algorithm_choice(Algorithm algorithm);

constexpr std::size_t aligned_bytes(std::size_t bytes) {
  return (bytes + kernels::kAlignment - 1) / kernels::kAlignment * kernels::kAlignment;
}

}  // namespace mobileone::fused
