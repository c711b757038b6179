// The rows along an axis of a row-major tensor.
#pragma once

#include "mobileone/backends/loops/loop_step.hpp"

namespace mobileone::loops {

struct SoftmaxRows {
  std::int64_t extent, stride = 1, count;

  SoftmaxRows(const Softmax& op, const Shape& shape)
      : extent(shape[static_cast<std::size_t>(op.axis)]) {
    for (std::size_t i = static_cast<std::size_t>(op.axis) + 1; i < shape.size(); ++i) {
      stride *= shape[i];
    }
    count = element_count(shape) / extent;
  }
  // Its first element; the others are `stride` apart.
  std::int64_t first(std::int64_t row) const {
    return row / stride * extent * stride + row % stride;
  }
};

}  // namespace mobileone::loops
