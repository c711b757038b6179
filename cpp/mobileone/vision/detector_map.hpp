// The numbers of a single-shot detector's maps, anchor by anchor.
#pragma once

#include <cstdint>
#include <vector>

#include "mobileone/vision/anchors.hpp"

namespace mobileone {

// Offsets of a box: centre x and y, width and height.
inline constexpr std::int64_t kCoordinates = 4;

// One image's results of one map, [anchors * (4 + classes)][height][width]: of one anchor after the
// other four offsets and a score (logit) for each class.
struct DetectorMap {
  const float* data;
  std::int64_t anchors;  // of a cell
  MapSize size;
};

// One anchor's numbers: every `stride`-th of a map's from `offset` on.
struct DetectorRow {
  std::size_t map;
  std::int64_t offset, stride;

  std::int64_t at(std::int64_t i) const { return offset + i * stride; }
};

// Of all anchors, in the order of make_anchors().
std::vector<DetectorRow> detector_rows(const std::vector<DetectorMap>& maps, std::int64_t classes);

}  // namespace mobileone
