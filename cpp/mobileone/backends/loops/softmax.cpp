#include "mobileone/backends/loops/softmax_rows.hpp"

#include <algorithm>
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

constexpr std::int64_t kColumns = 32;

// `count` rows side by side, up to kColumns of them, whose elements are `stride` apart: a vector
// has one element of each.
MOBILEONE_INLINE void normalize(const float* x, std::int64_t extent, std::int64_t stride,
                                std::int64_t count, float* y) {
  float largest[kColumns];
  double total[kColumns] = {};
  for (float& value : largest) value = -std::numeric_limits<float>::infinity();
  for (std::int64_t k = 0; k < extent; ++k) {
    const float* const row = x + k * stride;
    for (std::int64_t i = 0; i < count; ++i) largest[i] = row[i] > largest[i] ? row[i] : largest[i];
  }
  for (std::int64_t k = 0; k < extent; ++k) {
    const float* const row = x + k * stride;
    float* const to = y + k * stride;
#pragma GCC ivdep
    for (std::int64_t i = 0; i < count; ++i) to[i] = exponential(row[i] - largest[i]);
    for (std::int64_t i = 0; i < count; ++i) total[i] += static_cast<double>(to[i]);
  }
  for (std::int64_t k = 0; k < extent; ++k) {
    float* const to = y + k * stride;
#pragma GCC ivdep
    for (std::int64_t i = 0; i < count; ++i) to[i] /= static_cast<float>(total[i]);
  }
}

}  // namespace

template <>
void emit(const Softmax& softmax, const LoweredOp& op, PlanBuilder& builder) {
  const ValueId src = builder.in_layout(builder.node(op.node).inputs[0], Layout::nchw());
  const ValueId dst = builder.new_result(op.result, Layout::nchw());
  const SoftmaxRows rows(softmax, builder.shape(op.result));
  const auto run = [=, pool = pool_of(builder)](const Buffers& buffers) {
    spread(pool, rows.count, [&](std::int64_t begin, std::int64_t end, int) {
      for (std::int64_t row = begin, next; row < end; row = next) {
        const float* const x = input(buffers, src) + rows.first(row);
        float* const y = output(buffers, dst) + rows.first(row);
        const std::int64_t beside = rows.stride - row % rows.stride;
        next = std::min({row + kColumns, row + beside, end});
        vectorized([&]() MOBILEONE_INLINE_LAMBDA {
          if (rows.stride == 1) {
            normalize(x, rows.extent, y);
          } else {
            normalize(x, rows.extent, rows.stride, next - row, y);
          }
        });
      }
    });
  };
  add_loop(op, builder, {src}, {dst}, run);
}

}  // namespace mobileone::loops
