// What Unfold, Fold and their gradients are: one copy between a feature map and token sequences, in
// either direction.
#pragma once

#include <cstring>

#include "mobileone/backends/loops/loop_step.hpp"
#include "mobileone/backends/loops/maps.hpp"

namespace mobileone::loops {

struct TokenCopy {
  enum class Direction { unfold, fold };

  MapView map;
  Extent patch;
  Direction direction;
  ValueId src, dst;

  // One task copies the tokens of one row of patches at one position inside the patch.
  std::int64_t patch_rows() const { return map.height / patch[0]; }
  std::int64_t patch_columns() const { return map.width / patch[1]; }
  std::int64_t tasks() const { return map.images * patch[0] * patch[1] * patch_rows(); }

  // Tokens lie in the order of the tasks: [image][position][patch row][patch column][channel].
  void copy_row(std::int64_t task, const float* from, float* to) const {
    const std::int64_t columns = patch_columns(), patch_row = task % patch_rows();
    const std::int64_t sequence = task / patch_rows();
    const std::int64_t position = sequence % (patch[0] * patch[1]);
    const std::int64_t image = sequence / (patch[0] * patch[1]);
    const std::int64_t row = patch_row * patch[0] + position / patch[1];
    const std::int64_t first = position % patch[1];
    for (std::int64_t channel = 0; channel < map.channels; channel += map.run) {
      const std::size_t bytes = static_cast<std::size_t>(map.length(channel)) * sizeof(float);
      for (std::int64_t column = 0; column < columns; ++column) {
        const std::int64_t token = (task * columns + column) * map.channels + channel;
        const std::int64_t pixel = map.at(image, channel, row, column * patch[1] + first);
        if (direction == Direction::unfold) {
          std::memcpy(to + token, from + pixel, bytes);
        } else {
          std::memcpy(to + pixel, from + token, bytes);
        }
      }
    }
  }
};

// What a step of it runs.
inline auto run_copy(const TokenCopy& copy, const PlanBuilder& builder) {
  return [copy, pool = pool_of(builder)](const Buffers& buffers) {
    spread(pool, copy.tasks(), [&](std::int64_t begin, std::int64_t end, int) {
      for (std::int64_t task = begin; task < end; ++task) {
        copy.copy_row(task, input(buffers, copy.src), output(buffers, copy.dst));
      }
    });
  };
}

}  // namespace mobileone::loops
