// Scratch that every worker of a step has for itself.
#pragma once

#include <cstddef>
#include <cstdint>

#include "mobileone/plan/builder.hpp"

namespace mobileone {

// What a step asks for, and a worker's part of it.
inline std::size_t scratch_bytes(const PlanBuilder& builder, std::int64_t floats_per_worker) {
  return static_cast<std::size_t>(builder.options().threads) *
         static_cast<std::size_t>(floats_per_worker) * sizeof(float);
}
inline float* scratch_of(int worker, std::int64_t floats_per_worker, const Buffers& buffers) {
  return reinterpret_cast<float*>(buffers.scratch()) + worker * floats_per_worker;
}

}  // namespace mobileone
