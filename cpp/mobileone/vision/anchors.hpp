// The boxes that a single-shot detector's offsets start from.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

namespace mobileone {

// (centre x, centre y, width, height), in units of the image's width and height.
using Anchor = std::array<float, 4>;

struct MapSize {
  std::int64_t height, width;
};

// Liu et al. 2016, section 2.2, as the authors of MobileViT (CVNets) arrange them: scales from
// `smallest` to `largest` evenly over the maps and one more; in a cell the square of its map's
// scale, the one of the geometric mean with the next scale, then a wide and a tall box per aspect
// ratio. Rows run over y, then x, then the cell's boxes. Computed in float64, clamped to [0, 1],
// rounded once.
struct AnchorRule {
  double smallest = 0.1, largest = 1.05;
  std::vector<std::vector<double>> ratios;  // of each map
};

// Throws Error unless there are as many lists of ratios as maps.
std::vector<Anchor> make_anchors(const AnchorRule& rule, const std::vector<MapSize>& maps);

}  // namespace mobileone
