#include "mobileone/vision/detector_map.hpp"

namespace mobileone {

std::vector<DetectorRow> detector_rows(const std::vector<DetectorMap>& maps, std::int64_t classes) {
  std::vector<DetectorRow> rows;
  for (std::size_t map = 0; map < maps.size(); ++map) {
    const std::int64_t pixels = maps[map].size.height * maps[map].size.width;
    for (std::int64_t pixel = 0; pixel < pixels; ++pixel) {
      for (std::int64_t a = 0; a < maps[map].anchors; ++a) {
        rows.push_back({map, a * (kCoordinates + classes) * pixels + pixel, pixels});
      }
    }
  }
  return rows;
}

}  // namespace mobileone
