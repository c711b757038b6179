// A linear layer with gradients: how its rows are shared out, and its steps.
#pragma once

#include <limits>

#include "mobileone/backends/training/operators.hpp"
#include "mobileone/backends/training/panels.hpp"

namespace mobileone::training {

// Rows of x [rows, in] and y [rows, out] lie one after another. A part of them at a time is copied
// into the kernels' columns, few enough to stay in the second-level cache.
struct LinearRows {
  std::int64_t rows, in, out, parts;
  Slots slots;  // of the weight's gradient

  LinearRows(const Linear& linear, std::int64_t count);

  Range part(std::int64_t index) const { return {rows, parts, index}; }
  std::int64_t part_floats(std::int64_t columns) const {
    return (rows + parts - 1) / parts * padded(columns);
  }
  std::int64_t macs() const { return rows * in * out; }
};

// y = x w + bias, or dx = dy w.
struct RowProduct {
  ValueId x, y;
  std::int64_t from, to;  // columns of x and y
  Operand weight;
  bool transposed;  // whether the weight is w' [to][from] instead of w [from][to]
  Operand bias = {};
  float floor = -std::numeric_limits<float>::infinity();
};
// Adds its step.
void add_product(const LinearRows& rows, const RowProduct& product, StepInfo info,
                 PlanBuilder& builder);
// Of each worker's scratch.
std::int64_t product_floats(const LinearRows& rows);

// Columns [16 begin, 16 end) of those rows of a matrix with that many columns, as kernels read
// them: those beyond the last are zero.
kernels::Columns copy_columns(const float* from, std::int64_t columns, Range rows, Range blocks,
                              float* to);

void emit_linear_backward(const LinearRows& rows, const LoweredOp& op, ValueId x,
                          PlanBuilder& builder);

}  // namespace mobileone::training
