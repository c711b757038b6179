// A tiling as a record that a stored plan keeps.
#pragma once

#include <string>

#include "mobileone/kernels/tiling/tiling.hpp"
#include "mobileone/plan/record.hpp"

namespace mobileone::fused {

Record to_record(const kernels::Tiling& tiling);

// Throws Error naming `name` when the record lacks a field, or has one that no tiling can have.
kernels::Tiling to_tiling(const std::string& name, const Record& record);

}  // namespace mobileone::fused
