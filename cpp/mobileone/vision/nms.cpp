#include "mobileone/vision/nms.hpp"

#include <algorithm>

namespace mobileone {

namespace {

double area(const Box& box) { return (box[2] - box[0]) * (box[3] - box[1]); }

}  // namespace

double overlap(const Box& a, const Box& b) {
  const double width = std::min(a[2], b[2]) - std::max(a[0], b[0]);
  const double height = std::min(a[3], b[3]) - std::max(a[1], b[1]);
  if (!(width > 0.0 && height > 0.0)) return 0.0;
  const double both = width * height;
  return both / (area(a) + area(b) - both);
}

bool covered(const Box& box, const std::vector<Box>& others, double threshold) {
  return std::any_of(others.begin(), others.end(),
                     [&](const Box& other) { return overlap(other, box) > threshold; });
}

std::vector<std::size_t> suppress(const std::vector<Box>& boxes, double threshold) {
  std::vector<std::size_t> numbers;
  std::vector<Box> kept;
  for (std::size_t i = 0; i < boxes.size(); ++i) {
    if (covered(boxes[i], kept, threshold)) continue;
    numbers.push_back(i);
    kept.push_back(boxes[i]);
  }
  return numbers;
}

}  // namespace mobileone
