// Maps by neighbouring channels: how batch norms share out their work.
#pragma once

#include "mobileone/backends/loops/maps.hpp"
#include "mobileone/backends/loops/vectors.hpp"

namespace mobileone::loops {

inline constexpr std::int64_t kLanes = 16;  // channels that one task normalises: a cache line

// Up to kLanes neighbouring channels of a map, of all images and pixels.
struct Lanes {
  const MapView& map;
  std::int64_t channel, count;

  Lanes(const MapView& view, std::int64_t task) : map(view) {
    const std::int64_t pieces = tasks(view) / view.runs(), lane = task % pieces * kLanes;
    channel = task / pieces * view.run + lane;
    count = std::min({kLanes, view.run - lane, view.channels - channel});
  }
  static std::int64_t tasks(const MapView& view) {
    return view.runs() * ((view.run + kLanes - 1) / kLanes);
  }

  // visit(first channel) for every pixel of every image.
  template <typename Visit>
  MOBILEONE_INLINE void for_each_pixel(const Visit& visit) const {
    for (std::int64_t image = 0; image < map.images; ++image) {
      const std::int64_t first = map.at(image, channel, 0, 0);
      for (std::int64_t pixel = 0; pixel < map.pixels(); ++pixel) visit(first + pixel * map.run);
    }
  }
};

}  // namespace mobileone::loops
