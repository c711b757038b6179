#include "mobileone/backends/loops/emit.hpp"
#include "mobileone/backends/loops/loop_step.hpp"
#include "mobileone/backends/loops/vectors.hpp"

namespace mobileone::loops {

namespace {

constexpr std::int64_t kRows = 4, kColumns = 64;  // of the result, whose sums are made at once

struct MatrixProduct {
  std::int64_t rows, features, columns;

  // Up to kRows rows of one product, all columns.
  void run(const float* a, const float* b, std::int64_t count, float* y) const {
    for (std::int64_t first = 0; first < columns; first += kColumns) {
      const std::int64_t width = std::min(kColumns, columns - first);
      const auto tile = [&](std::int64_t r, std::int64_t rows_now) {
        vectorized([&]() MOBILEONE_INLINE_LAMBDA {
          float sums[kRows][kColumns] = {};
          for (std::int64_t k = 0; k < features; ++k) {
            const float* const from = b + k * columns + first;
            for (std::int64_t i = 0; i < rows_now; ++i) {
              const float factor = a[(r + i) * features + k];
#pragma GCC ivdep
              for (std::int64_t j = 0; j < width; ++j) sums[i][j] += factor * from[j];
            }
          }
          for (std::int64_t i = 0; i < rows_now; ++i) {
            std::copy_n(sums[i], width, y + (r + i) * columns + first);
          }
        });
      };
      for (std::int64_t r = 0; r < count; r += kRows) tile(r, std::min(kRows, count - r));
    }
  }
};

}  // namespace

template <>
void emit(const MatMul& product, const LoweredOp& op, PlanBuilder& builder) {
  const std::vector<NodeId>& inputs = builder.node(op.node).inputs;
  const ValueId a = builder.in_layout(inputs[0], Layout::nchw());
  const ValueId b = builder.in_layout(inputs[1], Layout::nchw());
  const ValueId dst = builder.new_result(op.result, Layout::nchw(), true);
  const Shape& shape = builder.shape(op.result);
  const MatrixProduct one{shape[shape.size() - 2], product.features, shape.back()};
  const std::int64_t blocks = (one.rows + kRows - 1) / kRows;  // of one product
  const std::int64_t products = element_count(shape) / (one.rows * one.columns);
  const auto run = [=, pool = pool_of(builder)](const Buffers& buffers) {
    spread(pool, products * blocks, [&](std::int64_t begin, std::int64_t end, int) {
      for (std::int64_t task = begin; task < end; ++task) {
        const std::int64_t matrix = task / blocks, row = task % blocks * kRows;
        one.run(input(buffers, a) + (matrix * one.rows + row) * one.features,
                input(buffers, b) + matrix * one.features * one.columns,
                std::min(kRows, one.rows - row),
                output(buffers, dst) + (matrix * one.rows + row) * one.columns);
      }
    });
  };
  add_loop(op, builder, {a, b}, {dst}, run);
}

}  // namespace mobileone::loops
