// A tiling as a record that a stored plan keeps.
#pragma once

#include <string>

#include "mobileone/kernels/tiling/tiling.hpp"
#include "mobileone/plan/record.hpp"

namespace mobileone::fused {

inline constexpr int kMostLevels = 2;  // of Strassen's algorithm

Record to_record(const kernels::Tiling& tiling);

// What measurements found: the algorithm, which all numbers of threads and batch sizes share, and
// how the step is cut up on as many threads and images as the plan has (0: not measured).
struct TunedTiling {
  int levels = 0;  // of Strassen's algorithm; 1 of Winograd's
  int rows = 0;
  int column_parts = 0;
};

// Throws Error naming `name` when the record lacks "strassen", or has a value that no tiling can.
TunedTiling to_tuned(const std::string& name, const Record& record);

// Throws Error naming `name` when the record lacks a field, or has one that no tiling can have.
kernels::Tiling to_tiling(const std::string& name, const Record& record);

}  // namespace mobileone::fused
