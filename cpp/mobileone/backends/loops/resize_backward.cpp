#include "mobileone/backends/loops/emit_backward.hpp"
#include "mobileone/backends/loops/maps.hpp"
#include "mobileone/backends/loops/resize_axis.hpp"
#include "mobileone/backends/loops/vectors.hpp"

namespace mobileone::loops {

namespace {

struct ResizeGradient {
  MapView from, to;  // of dx and dy
  Axis rows, columns;

  // One row of dx: of every row of dy that was made of it.
  void gather_row(std::int64_t image, std::int64_t row, const float* dy, float* dx) const {
    for (std::int64_t channel = 0; channel < from.channels; channel += from.run) {
      std::fill_n(dx + from.at(image, channel, row, 0), from.width * from.run, 0.f);
      for (std::int64_t source = 0; source < to.height; ++source) {
        const auto y = static_cast<std::size_t>(source);
        float weight = 0.f;
        if (rows.low[y] == row) weight += rows.low_weight[y];
        if (rows.high[y] == row) weight += rows.high_weight[y];
        if (weight == 0.f) continue;
        for (std::int64_t column = 0; column < to.width; ++column) {
          const auto x = static_cast<std::size_t>(column);
          const float* const gradient = dy + to.at(image, channel, source, column);
          add(weight * columns.low_weight[x], gradient, to.length(channel),
              dx + from.at(image, channel, row, columns.low[x]));
          add(weight * columns.high_weight[x], gradient, to.length(channel),
              dx + from.at(image, channel, row, columns.high[x]));
        }
      }
    }
  }

 private:
  static void add(float weight, const float* gradient, std::int64_t count, float* to) {
#pragma GCC ivdep
    for (std::int64_t i = 0; i < count; ++i) to[i] += weight * gradient[i];
  }
};

}  // namespace

template <>
void emit_backward(const Resize&, const LoweredOp& op, PlanBuilder& builder) {
  const NodeId source = builder.node(op.node).inputs[0];
  if (!builder.wants_gradient(source)) return;
  const Shape &from = builder.shape(source), &to = builder.shape(op.result);
  if (from == to) {
    builder.add_gradient(source, builder.gradient_of(op, map_layout(builder, to)));
    return;
  }
  const Layout layout = layout_of_both(builder, from, to);
  const ValueId dy = builder.gradient_of(op, layout);
  const ValueId dx = builder.new_gradient(source, layout);
  const ResizeGradient gradient{MapView(builder.value(dx)), MapView(builder.value(dy)),
                                Axis(from[2], to[2]), Axis(from[3], to[3])};
  const auto run = [=, pool = pool_of(builder)](const Buffers& buffers) {
    const std::int64_t height = gradient.from.height;
    spread(pool, gradient.from.images * height, [&](std::int64_t begin, std::int64_t end, int) {
      for (std::int64_t task = begin; task < end; ++task) {
        gradient.gather_row(task / height, task % height, input(buffers, dy), output(buffers, dx));
      }
    });
  };
  add_backward_loop(op, builder, {dy}, {dx}, run);
  builder.add_gradient(source, dx);
}

}  // namespace mobileone::loops
