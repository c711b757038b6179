#include "mobileone/backends/loops/softmax_rows.hpp"

#include <limits>

#include "mobileone/backends/loops/emit.hpp"
#include "mobileone/backends/loops/rows.hpp"

namespace mobileone::loops {

namespace {

// One row of neighbours.
MOBILEONE_INLINE void normalize(const float* x, std::int64_t extent, float* y) {
  const float largest = largest_of(x, extent);
#pragma GCC ivdep
  for (std::int64_t k = 0; k < extent; ++k) y[k] = exponential(x[k] - largest);
  const auto total = static_cast<float>(sum_of(y, extent));
#pragma GCC ivdep
  for (std::int64_t k = 0; k < extent; ++k) y[k] /= total;
}

// One row, its elements `stride` apart.
MOBILEONE_INLINE void normalize(const float* x, std::int64_t extent, std::int64_t stride,
                                float* y) {
  float largest = -std::numeric_limits<float>::infinity();
  for (std::int64_t k = 0; k < extent; ++k) largest = std::max(largest, x[k * stride]);
#pragma GCC ivdep
  for (std::int64_t k = 0; k < extent; ++k) y[k * stride] = exponential(x[k * stride] - largest);
  double sum = 0.0;
  for (std::int64_t k = 0; k < extent; ++k) sum += static_cast<double>(y[k * stride]);
  const auto total = static_cast<float>(sum);
#pragma GCC ivdep
  for (std::int64_t k = 0; k < extent; ++k) y[k * stride] /= total;
}

}  // namespace

template <>
void emit(const Softmax& softmax, const LoweredOp& op, PlanBuilder& builder) {
  const ValueId src = builder.in_layout(builder.node(op.node).inputs[0], Layout::nchw());
  const ValueId dst = builder.new_result(op.result, Layout::nchw());
  const SoftmaxRows rows(softmax, builder.shape(op.result));
  const auto run = [=, pool = pool_of(builder)](const Buffers& buffers) {
    spread(pool, rows.count, [&](std::int64_t begin, std::int64_t end, int) {
      for (std::int64_t row = begin; row < end; ++row) {
        const float* const x = input(buffers, src) + rows.first(row);
        float* const y = output(buffers, dst) + rows.first(row);
        vectorized([&]() MOBILEONE_INLINE_LAMBDA {
          if (rows.stride == 1) {
            normalize(x, rows.extent, y);
          } else {
            normalize(x, rows.extent, rows.stride, y);
          }
        });
      }
    });
  };
  add_loop(op, builder, {src}, {dst}, run);
}

}  // namespace mobileone::loops
