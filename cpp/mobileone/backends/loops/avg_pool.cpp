#include "mobileone/backends/loops/emit.hpp"
#include "mobileone/backends/loops/map_rows.hpp"
#include "mobileone/backends/loops/vectors.hpp"

namespace mobileone::loops {

namespace {

struct Averaging {
  AvgPool op;
  MapView from, to;

  void make_row(std::int64_t image, std::int64_t row, const float* src, float* dst) const {
    const PoolWindow rows(op, 0, row, from.height);
    for (std::int64_t channel = 0; channel < to.channels; channel += to.run) {
      const std::int64_t count = to.length(channel);
      for (std::int64_t column = 0; column < to.width; ++column) {
        const PoolWindow columns(op, 1, column, from.width);
        float* const y = dst + to.at(image, channel, row, column);
        const auto divisor = static_cast<float>(op.divisor(rows, 0) * op.divisor(columns, 1));
        std::fill_n(y, to.run, 0.f);
        vectorized([&]() MOBILEONE_INLINE_LAMBDA {
          for (std::int64_t i = rows.first; i < rows.last; ++i) {
            for (std::int64_t j = columns.first; j < columns.last; ++j) {
              const float* const x = src + from.at(image, channel, i, j);
#pragma GCC ivdep
              for (std::int64_t c = 0; c < count; ++c) y[c] += x[c];
            }
          }
#pragma GCC ivdep
          for (std::int64_t c = 0; c < count; ++c) y[c] /= divisor;
        });
      }
    }
  }
};

}  // namespace

template <>
void emit(const AvgPool& pool, const LoweredOp& op, PlanBuilder& builder) {
  const NodeId input = builder.node(op.node).inputs[0];
  const Layout layout = layout_of_both(builder, builder.shape(input), builder.shape(op.result));
  const ValueId src = builder.in_layout(input, layout);
  const ValueId dst = builder.new_result(op.result, layout);
  const Averaging averaging{pool, MapView(builder.value(src)), MapView(builder.value(dst))};
  add_row_loop(op, builder, src, dst, averaging);
}

}  // namespace mobileone::loops
