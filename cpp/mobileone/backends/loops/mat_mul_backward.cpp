#include "mobileone/backends/loops/emit_backward.hpp"
#include "mobileone/backends/loops/vectors.hpp"

namespace mobileone::loops {

namespace {

struct MatMulGradient {
  std::int64_t rows, features, columns;

  // One row of dA = dY B^T.
  void first_row(const float* dy, const float* b, float* da) const {
    for (std::int64_t k = 0; k < features; ++k) {
      double sum = 0.0;
      for (std::int64_t j = 0; j < columns; ++j) {
        sum += static_cast<double>(dy[j]) * static_cast<double>(b[k * columns + j]);
      }
      da[k] = static_cast<float>(sum);
    }
  }
  // One row of dB = A^T dY; `a` is the column of A.
  void second_row(const float* a, const float* dy, float* db) const {
    std::fill_n(db, columns, 0.f);
    vectorized([&]() MOBILEONE_INLINE_LAMBDA {
      for (std::int64_t row = 0; row < rows; ++row) {
        const float factor = a[row * features];
#pragma GCC ivdep
        for (std::int64_t j = 0; j < columns; ++j) db[j] += factor * dy[row * columns + j];
      }
    });
  }
};

}  // namespace

template <>
void emit_backward(const MatMul& product, const LoweredOp& op, PlanBuilder& builder) {
  const std::vector<NodeId>& inputs = builder.node(op.node).inputs;
  const ValueId a = builder.in_layout(inputs[0], Layout::nchw());
  const ValueId b = builder.in_layout(inputs[1], Layout::nchw());
  const ValueId dy = builder.gradient_of(op, Layout::nchw());
  const Shape& shape = builder.shape(op.result);
  const MatMulGradient one{shape[shape.size() - 2], product.features, shape.back()};
  const std::int64_t products = element_count(shape) / (one.rows * one.columns);
  if (builder.wants_gradient(inputs[0])) {
    const ValueId da = builder.new_gradient(inputs[0], Layout::nchw());
    const auto run = [=, pool = pool_of(builder)](const Buffers& buffers) {
      spread(pool, products * one.rows, [&](std::int64_t begin, std::int64_t end, int) {
        for (std::int64_t row = begin; row < end; ++row) {
          one.first_row(input(buffers, dy) + row * one.columns,
                        input(buffers, b) + row / one.rows * one.features * one.columns,
                        output(buffers, da) + row * one.features);
        }
      });
    };
    add_backward_loop(op, builder, {b, dy}, {da}, run);
    builder.add_gradient(inputs[0], da);
  }
  if (!builder.wants_gradient(inputs[1])) return;
  const ValueId db = builder.new_gradient(inputs[1], Layout::nchw());
  const auto run = [=, pool = pool_of(builder)](const Buffers& buffers) {
    spread(pool, products * one.features, [&](std::int64_t begin, std::int64_t end, int) {
      for (std::int64_t task = begin; task < end; ++task) {
        const std::int64_t matrix = task / one.features, k = task % one.features;
        one.second_row(input(buffers, a) + matrix * one.rows * one.features + k,
                       input(buffers, dy) + matrix * one.rows * one.columns,
                       output(buffers, db) + task * one.columns);
      }
    });
  };
  add_backward_loop(op, builder, {a, dy}, {db}, run);
  builder.add_gradient(inputs[1], db);
}

}  // namespace mobileone::loops
