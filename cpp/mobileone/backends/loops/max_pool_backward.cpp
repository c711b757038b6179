#include <cmath>

#include "mobileone/backends/loops/emit_backward.hpp"
#include "mobileone/backends/loops/maps.hpp"

namespace mobileone::loops {

namespace {

// To the first of the largest values under the kernel; NaN wins, as in the forward step.
struct MaxPoolGradient {
  MaxPool op;
  MapView from, to;  // of x and dx; of dy

  std::int64_t largest(std::int64_t image, std::int64_t channel, std::int64_t row,
                       std::int64_t column, const float* x) const {
    const PoolWindow rows(op, 0, row, from.height), columns(op, 1, column, from.width);
    std::int64_t found = -1;
    for (std::int64_t y = rows.first; y < rows.last; ++y) {
      for (std::int64_t z = columns.first; z < columns.last; ++z) {
        const std::int64_t at = from.at(image, channel, y, z);
        if (found < 0 || (!(x[at] <= x[found]) && !std::isnan(x[found]))) found = at;
      }
    }
    return found;
  }

  // One channel of one image.
  void run(std::int64_t task, const float* x, const float* dy, float* dx) const {
    const std::int64_t image = task / from.channels, channel = task % from.channels;
    for (std::int64_t row = 0; row < from.height; ++row) {
      for (std::int64_t column = 0; column < from.width; ++column) {
        dx[from.at(image, channel, row, column)] = 0.f;
      }
    }
    for (std::int64_t row = 0; row < to.height; ++row) {
      for (std::int64_t column = 0; column < to.width; ++column) {
        dx[largest(image, channel, row, column, x)] += dy[to.at(image, channel, row, column)];
      }
    }
  }
};

}  // namespace

template <>
void emit_backward(const MaxPool& pool, const LoweredOp& op, PlanBuilder& builder) {
  const NodeId source = builder.node(op.node).inputs[0];
  if (!builder.wants_gradient(source)) return;
  const Layout layout = layout_of_both(builder, builder.shape(source), builder.shape(op.result));
  const ValueId x = builder.in_layout(source, layout);
  const ValueId dy = builder.gradient_of(op, layout);
  const ValueId dx = builder.new_gradient(source, layout);
  const MaxPoolGradient gradient{pool, MapView(builder.value(dx)), MapView(builder.value(dy))};
  const auto run = [=, threads = pool_of(builder)](const Buffers& buffers) {
    const std::int64_t tasks = gradient.from.images * gradient.from.channels;
    spread(threads, tasks, [&](std::int64_t begin, std::int64_t end, int) {
      for (std::int64_t task = begin; task < end; ++task) {
        gradient.run(task, input(buffers, x), input(buffers, dy), output(buffers, dx));
      }
    });
  };
  add_backward_loop(op, builder, {x, dy}, {dx}, run);
  builder.add_gradient(source, dx);
}

}  // namespace mobileone::loops
