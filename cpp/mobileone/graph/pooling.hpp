// What operators with a kernel that slides over a map share.
#pragma once

#include <algorithm>

#include "mobileone/graph/operator.hpp"

namespace mobileone {

// The shape of the results of a pool that has a kernel, a stride and a padding, of at most half the
// kernel.
template <typename Pool>
Shape pooled_shape(const Pool& pool, const InputShapes& inputs) {
  const Shape& in = inputs.image();
  Shape out = in;
  for (std::size_t axis = 0; axis < 2; ++axis) {
    const std::int64_t most = pool.kernel[axis] / 2;
    if (pool.padding[axis] > most) {
      inputs.fail("padding is ", pool.padding[axis], "; expected at most ", most,
                  ", half the kernel");
    }
    const std::int64_t room = in[axis + 2] + 2 * pool.padding[axis] - pool.kernel[axis];
    if (room < 0) inputs.fail("input ", to_string(in), " is smaller than the kernel");
    out[axis + 2] = room / pool.stride[axis] + 1;
  }
  return out;
}

// The elements under the kernel along an axis, at one place of the result, that are inside the map.
struct PoolWindow {
  std::int64_t first, last;  // one past the last

  template <typename Pool>
  PoolWindow(const Pool& pool, std::size_t axis, std::int64_t place, std::int64_t extent) {
    const std::int64_t begin = place * pool.stride[axis] - pool.padding[axis];
    first = std::max<std::int64_t>(0, begin);
    last = std::min(extent, begin + pool.kernel[axis]);
  }
  std::int64_t size() const { return last - first; }
};

}  // namespace mobileone
