// Where Unfold and Fold find the pixels of a map among the patches' tokens.
#pragma once

#include "mobileone/reference/arrays.hpp"

namespace mobileone::reference {

// visit(pixel, token): places of row-major elements of [B, C, H, W] and of the sequences
// [B h w, N, C].
template <typename Visit>
void for_each_pixel(const Shape& map, const Extent& patch, const Visit& visit) {
  const std::int64_t positions = patch[0] * patch[1], columns = map[3] / patch[1];
  const std::int64_t tokens = map[2] * map[3] / positions;
  std::size_t at = 0;
  for (std::int64_t image = 0; image < map[0]; ++image) {
    for (std::int64_t channel = 0; channel < map[1]; ++channel) {
      for (std::int64_t row = 0; row < map[2]; ++row) {
        for (std::int64_t column = 0; column < map[3]; ++column, ++at) {
          const std::int64_t position = row % patch[0] * patch[1] + column % patch[1];
          const std::int64_t token = row / patch[0] * columns + column / patch[1];
          const std::int64_t sequence = image * positions + position;
          visit(at, to_index((sequence * tokens + token) * map[1] + channel));
        }
      }
    }
  }
}

}  // namespace mobileone::reference
