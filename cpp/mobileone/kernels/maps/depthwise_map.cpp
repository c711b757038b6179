#include "mobileone/kernels/maps/depthwise_map.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>

namespace mobileone::kernels {

namespace {

// Copied rows of a unit: a small share of L2, and many more than those that the next unit copies
// again.
constexpr std::ptrdiff_t kBandFloats = 128 * 1024 / sizeof(float);

void require(bool condition, const std::string& message) {
  if (!condition) throw std::invalid_argument("[depthwise map] " + message);
}

}  // namespace

DepthwiseMapPlan plan_depthwise_map(const DepthwiseMapShape& shape) {
  require(shape.channels_in >= 1 && shape.height >= 1 && shape.width >= 1,
          "channels and sizes must be at least 1");
  require(shape.kernel >= 3 && shape.kernel <= 11 && shape.kernel % 2 == 1,
          "kernel is " + std::to_string(shape.kernel) + "; expected 3, 5, 7, 9 or 11");
  require(shape.stride == 1 || shape.stride == 2,
          "stride is " + std::to_string(shape.stride) + "; expected 1 or 2");
  require(shape.multiplier == 1 || shape.multiplier == 2 || shape.multiplier == 4 ||
              shape.multiplier == 8,
          "multiplier is " + std::to_string(shape.multiplier) + "; expected 1, 2, 4 or 8");
  DepthwiseMapPlan plan{shape, 1};
  const auto slots = static_cast<int>(kBandFloats / plan.row_floats());
  const int rows = (slots - shape.kernel) / shape.stride + 1;
  plan.band_rows = std::clamp(rows, std::min(8, shape.dst().height), shape.dst().height);
  return plan;
}

}  // namespace mobileone::kernels
