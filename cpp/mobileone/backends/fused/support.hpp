// What the fused steps share: the machine's kernels, packed weights, and how work is spread.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>

#include "mobileone/base/spread.hpp"
#include "mobileone/kernels/kernels.hpp"
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

inline ThreadPool* pool(int threads) { return shared_pool(threads); }

constexpr std::size_t aligned_bytes(std::size_t bytes) {
  return (bytes + kernels::kAlignment - 1) / kernels::kAlignment * kernels::kAlignment;
}

}  // namespace mobileone::fused
