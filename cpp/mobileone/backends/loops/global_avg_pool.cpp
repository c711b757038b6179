#include "mobileone/backends/loops/emit.hpp"
#include "mobileone/backends/loops/loop_step.hpp"
#include "mobileone/backends/loops/maps.hpp"
#include "mobileone/backends/loops/vectors.hpp"

namespace mobileone::loops {

template <>
void emit(const GlobalAvgPool&, const LoweredOp& op, PlanBuilder& builder) {
  constexpr std::int64_t kLanes = 16;  // channels that are summed at once: a cache line
  const ValueId src = map_with_runs(builder, builder.node(op.node).inputs[0]);
  const ValueId dst = builder.new_result(op.result, Layout::nhwc());
  const MapView map(builder.value(src));
  const std::int64_t pieces = (map.run + kLanes - 1) / kLanes;
  const auto run = [=, pool = pool_of(builder)](const Buffers& buffers) {
    spread(pool, map.images * map.runs() * pieces, [&](std::int64_t begin, std::int64_t end, int) {
      for (std::int64_t task = begin; task < end; ++task) {
        const std::int64_t image = task / pieces / map.runs();
        const std::int64_t lane = task % pieces * kLanes;
        const std::int64_t channel = task / pieces % map.runs() * map.run + lane;
        const std::int64_t lanes = std::min({kLanes, map.run - lane, map.channels - channel});
        const float* const x = input(buffers, src) + map.at(image, channel, 0, 0);
        float* const y = output(buffers, dst) + image * map.channels + channel;
        vectorized([&]() MOBILEONE_INLINE_LAMBDA {
          double sums[kLanes] = {};
          for (std::int64_t pixel = 0; pixel < map.pixels(); ++pixel) {
            for (std::int64_t i = 0; i < lanes; ++i) {
              sums[i] += static_cast<double>(x[pixel * map.run + i]);
            }
          }
          for (std::int64_t i = 0; i < lanes; ++i) {
            y[i] = static_cast<float>(sums[i] / static_cast<double>(map.pixels()));
          }
        });
      }
    });
  };
  add_loop(op, builder, {src}, {dst}, run);
}

}  // namespace mobileone::loops
