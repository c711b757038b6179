#include <cmath>
#include <vector>

#include "mobileone/backends/loops/emit.hpp"
#include "mobileone/backends/loops/loop_step.hpp"
#include "mobileone/backends/loops/maps.hpp"

// oneDNN's resampling computes its weights in fp32, whose error grows with the
// position.
namespace mobileone::loops {

namespace {

// For each position along one axis of the result: two source positions and their weights.
struct Axis {
  std::vector<std::int64_t> low, high;
  std::vector<float> low_weight, high_weight;

  // Pixel centres are aligned; positions beyond the outer ones take their value.
  Axis(std::int64_t from, std::int64_t to) {
    for (std::int64_t i = 0; i < to; ++i) {
      const double scale = static_cast<double>(from) / static_cast<double>(to);
      const double position = std::max(0.0, (static_cast<double>(i) + 0.5) * scale - 0.5);
      low.push_back(std::min(static_cast<std::int64_t>(position), from - 1));
      high.push_back(std::min(low.back() + 1, from - 1));
      const double fraction = position - static_cast<double>(low.back());
      low_weight.push_back(static_cast<float>(1.0 - fraction));
      high_weight.push_back(static_cast<float>(fraction));
    }
  }
};

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

  void resize_row(std::int64_t image, std::int64_t row, const float* src, float* dst) const {
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
  // One pixel's layout says nothing of how its channels lie beside other pixels: nhwc for both.
  const bool one_pixel = from[2] * from[3] == 1 || to[2] * to[3] == 1;
  const Layout layout = one_pixel ? Layout::nhwc() : map_layout(builder, to);
  const ValueId src = builder.in_layout(input, layout);
  const ValueId dst = builder.new_result(op.result, layout);
  const Interpolation interpolation{MapView(builder.value(src)), MapView(builder.value(dst)),
                                    Axis(from[2], to[2]), Axis(from[3], to[3])};
  const auto run = [=, pool = pool_of(builder)](const Buffers& buffers) {
    const std::int64_t height = interpolation.to.height;
    spread(pool, interpolation.to.images * height, [&](std::int64_t begin, std::int64_t end, int) {
      for (std::int64_t task = begin; task < end; ++task) {
        interpolation.resize_row(task / height, task % height, loops::input(buffers, src),
                                 output(buffers, dst));
      }
    });
  };
  add_loop(op, builder, {src}, {dst}, run);
}

}  // namespace mobileone::loops
