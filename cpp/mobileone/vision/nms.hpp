// Boxes that are left of those that overlap.
#pragma once

#include <array>
#include <cstddef>
#include <vector>

namespace mobileone {

// (left, top, right, bottom).
using Box = std::array<double, 4>;

// Intersection over union; 0 where both are empty.
double overlap(const Box& a, const Box& b);

// Greedy non-maximum suppression of boxes in order of falling scores: the numbers of those that no
// earlier one of them overlaps by more than `threshold`.
std::vector<std::size_t> suppress(const std::vector<Box>& boxes, double threshold);

}  // namespace mobileone
