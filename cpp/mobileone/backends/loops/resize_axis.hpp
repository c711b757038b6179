// Bilinear interpolation along one axis.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace mobileone::loops {

// For each position of the result: two source positions and their weights.
struct Axis {
  std::vector<std::int64_t> low, high;
  std::vector<float> low_weight, high_weight;

  // Pixel centres are aligned; positions beyond the outer ones take their value.
  Axis(std::int64_t from, std::int64_t to) {
    for (std::int64_t i = 0; i < to; ++i) {
      const double scale = static_cast<double>(from) / static_cast<double>(to);
      const double position = std::max(0.0, (static_cast<double>(i) + 0.5) * scale - 0.5);
      low.push_back(std::min(static_cast<std::int64_t>(position), from - 1));
      high.push_back(std::min(low.back() + 1, from - 1));
      const double fraction = position - static_cast<double>(low.back());
      low_weight.push_back(static_cast<float>(1.0 - fraction));
      high_weight.push_back(static_cast<float>(fraction));
    }
  }
};

}  // namespace mobileone::loops
