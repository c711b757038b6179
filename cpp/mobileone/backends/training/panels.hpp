// Weights as kernels read them, and how sums over rows are shared out.
#pragma once

#include <algorithm>

#include "mobileone/backends/training/support.hpp"

namespace mobileone::training {

// Of kernels::pack_panels.
inline std::int64_t panel_columns() { return table().traits.panel_blocks * kBlock; }
inline std::int64_t panel_count(std::int64_t columns) {
  return (padded(columns) + panel_columns() - 1) / panel_columns();
}

// Writes panel `panel` of a matrix whose columns are `columns`, w(k, n) with k < rows.
template <typename Weight>
void pack_panel(std::int64_t panel, std::int64_t rows, std::int64_t columns, const Weight& w,
                float* packed) {
  const std::int64_t wide = panel_columns();
  const std::int64_t first = panel * wide, last = std::min(padded(columns), first + wide);
  float* to = packed + first * padded(rows);
  for (std::int64_t k = 0; k < padded(rows); ++k) {
    for (std::int64_t n = first; n < last; ++n) {
      *to++ = k < rows && n < columns ? w(k, n) : 0.f;
    }
  }
}

// Sums over many rows are made in a few slots, of whole parts each, which are added up in order; a
// slot's matrix may be shared out by groups of its rows.
struct Slots {
  std::int64_t slots = 1, groups = 1;

  // Of matrices of that many floats and rows (in blocks).
  Slots(std::int64_t parts, std::int64_t floats, std::int64_t row_blocks);
  std::int64_t tasks() const { return slots * groups; }
};

}  // namespace mobileone::training
