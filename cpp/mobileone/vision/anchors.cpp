#include "mobileone/vision/anchors.hpp"

#include <algorithm>
#include <cmath>

#include "mobileone/base/error.hpp"

namespace mobileone {

namespace {

struct Size {
  double width, height;
};

std::vector<Size> sizes_of(double scale, double next, const std::vector<double>& ratios) {
  const double between = std::sqrt(scale * next);
  std::vector<Size> sizes{{scale, scale}, {between, between}};
  for (double ratio : ratios) {
    const double root = std::sqrt(ratio);
    sizes.push_back({scale * root, scale / root});
    sizes.push_back({scale / root, scale * root});
  }
  return sizes;
}

float clamped(double value) { return static_cast<float>(std::clamp(value, 0.0, 1.0)); }

}  // namespace

std::vector<Anchor> make_anchors(const AnchorRule& rule, const std::vector<MapSize>& maps) {
  if (rule.ratios.size() != maps.size()) {
    throw Error(concat("[anchors] there are ratios for ", rule.ratios.size(), " maps; expected ",
                       maps.size()));
  }
  const double step = (rule.largest - rule.smallest) / static_cast<double>(maps.size());
  std::vector<Anchor> anchors;
  for (std::size_t map = 0; map < maps.size(); ++map) {
    const double scale = rule.smallest + step * static_cast<double>(map);
    const double next = rule.smallest + step * static_cast<double>(map + 1);
    const std::vector<Size> sizes = sizes_of(scale, next, rule.ratios[map]);
    const auto [height, width] = maps[map];
    for (std::int64_t y = 0; y < height; ++y) {
      for (std::int64_t x = 0; x < width; ++x) {
        const double centre_x = (static_cast<double>(x) + 0.5) / static_cast<double>(width);
        const double centre_y = (static_cast<double>(y) + 0.5) / static_cast<double>(height);
        for (const Size& size : sizes) {
          anchors.push_back(
              {clamped(centre_x), clamped(centre_y), clamped(size.width), clamped(size.height)});
        }
      }
    }
  }
  return anchors;
}

}  // namespace mobileone
