// Steps that make a map of another one, row by row.
#pragma once

#include "mobileone/backends/loops/loop_step.hpp"
#include "mobileone/backends/loops/maps.hpp"

namespace mobileone::loops {

// Adds a step that makes all rows of `maps.to`, by maps.make_row(image, row, x, y): one row of the
// result, all channels.
template <typename Maps>
void add_row_loop(const LoweredOp& op, PlanBuilder& builder, ValueId src, ValueId dst,
                  const Maps& maps) {
  const auto run = [=, pool = pool_of(builder)](const Buffers& buffers) {
    const std::int64_t height = maps.to.height;
    spread(pool, maps.to.images * height, [&](std::int64_t begin, std::int64_t end, int) {
      for (std::int64_t task = begin; task < end; ++task) {
        maps.make_row(task / height, task % height, input(buffers, src), output(buffers, dst));
      }
    });
  };
  add_loop(op, builder, {src}, {dst}, run);
}

}  // namespace mobileone::loops
