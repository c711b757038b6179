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

// Whether a box overlaps one of those by more than `threshold`.
bool covered(const Box& box, const std::vector<Box>& others, double threshold);

// Greedy non-maximum suppression of boxes in order of falling scores: the numbers of those that no
// earlier one of them overlaps by more than `threshold`.
std::vector<std::size_t> suppress(const std::vector<Box>& boxes, double threshold);

}  // namespace mobileone
