#include "mobileone/backends/loops/emit_backward.hpp"
#include "mobileone/backends/loops/maps.hpp"

namespace mobileone::loops {

namespace {

struct AvgPoolGradient {
  AvgPool op;
  MapView from, to;  // of dx and dy

  // One channel of one image.
  void run(std::int64_t task, const float* dy, float* dx) const {
    const std::int64_t image = task / from.channels, channel = task % from.channels;
    for (std::int64_t row = 0; row < from.height; ++row) {
      for (std::int64_t column = 0; column < from.width; ++column) {
        dx[from.at(image, channel, row, column)] = 0.f;
      }
    }
    for (std::int64_t row = 0; row < to.height; ++row) {
      const PoolWindow rows(op, 0, row, from.height);
      for (std::int64_t column = 0; column < to.width; ++column) {
        const PoolWindow columns(op, 1, column, from.width);
        const auto divisor = static_cast<float>(op.divisor(rows, 0) * op.divisor(columns, 1));
        const float share = dy[to.at(image, channel, row, column)] / divisor;
        for (std::int64_t i = rows.first; i < rows.last; ++i) {
          for (std::int64_t j = columns.first; j < columns.last; ++j) {
            dx[from.at(image, channel, i, j)] += share;
          }
        }
      }
    }
  }
};

}  // namespace

template <>
void emit_backward(const AvgPool& pool, const LoweredOp& op, PlanBuilder& builder) {
  const NodeId source = builder.node(op.node).inputs[0];
  if (!builder.wants_gradient(source)) return;
  const ValueId dy = builder.gradient_of(op, Layout::nchw());
  const ValueId dx = builder.new_gradient(source, Layout::nchw());
  const AvgPoolGradient gradient{pool, MapView(builder.value(dx)), MapView(builder.value(dy))};
  const auto run = [=, threads = pool_of(builder)](const Buffers& buffers) {
    const std::int64_t tasks = gradient.from.images * gradient.from.channels;
    spread(threads, tasks, [&](std::int64_t begin, std::int64_t end, int) {
      for (std::int64_t task = begin; task < end; ++task) {
        gradient.run(task, input(buffers, dy), output(buffers, dx));
      }
    });
  };
  add_backward_loop(op, builder, {dy}, {dx}, run);
  builder.add_gradient(source, dx);
}

}  // namespace mobileone::loops
