#include "mobileone/backends/loops/emit.hpp"
#include "mobileone/backends/loops/map_rows.hpp"
#include "mobileone/backends/loops/resize_axis.hpp"

// oneDNN's resampling computes its weights in fp32, whose error grows with the
// position.
namespace mobileone::loops {

namespace {

// `count` channels of four source pixels, two rows of two.
void interpolate(const float* const* pixels, const float* row_weights, const float* column_weights,
                 std::int64_t count, float* out) {
  const float* const a = pixels[0];
  const float* const b = pixels[1];
  const float* const c = pixels[2];
  const float* const d = pixels[3];
#pragma GCC ivdep
  for (std::int64_t i = 0; i < count; ++i) {
    const float above = column_weights[0] * a[i] + column_weights[1] * b[i];
    const float below = column_weights[0] * c[i] + column_weights[1] * d[i];
    out[i] = row_weights[0] * above + row_weights[1] * below;
  }
}

struct Interpolation {
  MapView from, to;
  Axis rows, columns;

  void make_row(std::int64_t image, std::int64_t row, const float* src, float* dst) const {
    const auto y = static_cast<std::size_t>(row);
    const float row_weights[] = {rows.low_weight[y], rows.high_weight[y]};
    for (std::int64_t channel = 0; channel < to.channels; channel += to.run) {
      for (std::int64_t column = 0; column < to.width; ++column) {
        const auto x = static_cast<std::size_t>(column);
        const float column_weights[] = {columns.low_weight[x], columns.high_weight[x]};
        const float* pixels[4];
        for (std::size_t i = 0; i < 4; ++i) {
          const std::int64_t from_row = i < 2 ? rows.low[y] : rows.high[y];
          const std::int64_t from_column = i % 2 == 0 ? columns.low[x] : columns.high[x];
          pixels[i] = src + from.at(image, channel, from_row, from_column);
        }
        interpolate(pixels, row_weights, column_weights, to.length(channel),
                    dst + to.at(image, channel, row, column));
      }
    }
  }
};

}  // namespace

template <>
void emit(const Resize&, const LoweredOp& op, PlanBuilder& builder) {
  const NodeId input = builder.node(op.node).inputs[0];
  const Shape& from = builder.shape(input);
  const Shape& to = builder.shape(op.result);
  if (from == to) {
    builder.alias(op.result, input);
    return;
  }
  const Layout layout = layout_of_both(builder, from, to);
  const ValueId src = builder.in_layout(input, layout);
  const ValueId dst = builder.new_result(op.result, layout);
  const Interpolation interpolation{MapView(builder.value(src)), MapView(builder.value(dst)),
                                    Axis(from[2], to[2]), Axis(from[3], to[3])};
  add_row_loop(op, builder, src, dst, interpolation);
}

}  // namespace mobileone::loops
