#include <cmath>
#include <limits>

#include "mobileone/backends/loops/emit.hpp"
#include "mobileone/backends/loops/loop_step.hpp"
#include "mobileone/backends/loops/maps.hpp"
#include "mobileone/backends/loops/vectors.hpp"

namespace mobileone::loops {

namespace {

struct Pooling {
  MaxPool op;
  MapView from, to;

  // One row of the result, all channels.
  void pool_row(std::int64_t image, std::int64_t row, const float* src, float* dst) const {
    const std::int64_t top = row * op.stride[0] - op.padding[0];
    const std::int64_t first_row = std::max<std::int64_t>(top, 0);
    const std::int64_t last_row = std::min(top + op.kernel[0], from.height);
    for (std::int64_t channel = 0; channel < to.channels; channel += to.run) {
      for (std::int64_t column = 0; column < to.width; ++column) {
        const std::int64_t left = column * op.stride[1] - op.padding[1];
        const std::int64_t first = std::max<std::int64_t>(left, 0);
        const std::int64_t last = std::min(left + op.kernel[1], from.width);
        const std::int64_t count = to.length(channel);
        float* const largest = dst + to.at(image, channel, row, column);
        std::fill_n(largest, count, -std::numeric_limits<float>::infinity());
        vectorized([&]() MOBILEONE_INLINE_LAMBDA {
          for (std::int64_t y = first_row; y < last_row; ++y) {
            for (std::int64_t x = first; x < last; ++x) {
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
  const Shape &in = builder.shape(input), &out = builder.shape(op.result);
  const Layout layout = layout_of_both(builder, in, out);
  const ValueId src = builder.in_layout(input, layout);
  const ValueId dst = builder.new_result(op.result, layout);
  const Pooling pooling{pool, MapView(builder.value(src)), MapView(builder.value(dst))};
  const auto run = [=, threads = pool_of(builder)](const Buffers& buffers) {
    const std::int64_t height = pooling.to.height;
    spread(threads, pooling.to.images * height, [&](std::int64_t begin, std::int64_t end, int) {
      for (std::int64_t task = begin; task < end; ++task) {
        pooling.pool_row(task / height, task % height, loops::input(buffers, src),
                         output(buffers, dst));
      }
    });
  };
  add_loop(op, builder, {src}, {dst}, run);
}

}  // namespace mobileone::loops
