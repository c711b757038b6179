#include <cmath>
#include <limits>

#include "mobileone/backends/loops/emit.hpp"
#include "mobileone/backends/loops/map_rows.hpp"
#include "mobileone/backends/loops/vectors.hpp"

namespace mobileone::loops {

namespace {

struct Pooling {
  MaxPool op;
  MapView from, to;

  void make_row(std::int64_t image, std::int64_t row, const float* src, float* dst) const {
    const PoolWindow rows(op, 0, row, from.height);
    for (std::int64_t channel = 0; channel < to.channels; channel += to.run) {
      for (std::int64_t column = 0; column < to.width; ++column) {
        const PoolWindow columns(op, 1, column, from.width);
        const std::int64_t count = to.length(channel);
        float* const largest = dst + to.at(image, channel, row, column);
        std::fill_n(largest, count, -std::numeric_limits<float>::infinity());
        vectorized([&]() MOBILEONE_INLINE_LAMBDA {
          for (std::int64_t y = rows.first; y < rows.last; ++y) {
            for (std::int64_t x = columns.first; x < columns.last; ++x) {
              const float* const value = src + from.at(image, channel, y, x);
#pragma GCC ivdep
              for (std::int64_t i = 0; i < count; ++i) {
                // NaN wins and stays: nothing is larger than it, and it is larger than nothing.
                const bool keep = value[i] <= largest[i] || std::isnan(largest[i]);
                largest[i] = keep ? largest[i] : value[i];
              }
            }
          }
        });
      }
    }
  }
};

}  // namespace

template <>
void emit(const MaxPool& pool, const LoweredOp& op, PlanBuilder& builder) {
  const NodeId input = builder.node(op.node).inputs[0];
  const Layout layout = layout_of_both(builder, builder.shape(input), builder.shape(op.result));
  const ValueId src = builder.in_layout(input, layout);
  const ValueId dst = builder.new_result(op.result, layout);
  const Pooling pooling{pool, MapView(builder.value(src)), MapView(builder.value(dst))};
  add_row_loop(op, builder, src, dst, pooling);
}

}  // namespace mobileone::loops
