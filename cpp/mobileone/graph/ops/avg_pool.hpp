#pragma once

#include <algorithm>

#include "mobileone/graph/operator.hpp"

namespace mobileone {

// The mean under a sliding kernel, as torch.nn.AvgPool2d without ceil_mode: of all its elements,
// padding being zeros, or with `count_padding` false of those inside the map.
struct AvgPool {
  Extent kernel{2, 2};
  Extent stride{2, 2};
  Extent padding{0, 0};
  bool count_padding = true;

  static constexpr const char* name = "AvgPool";
  static constexpr Arity arity{1, 1};
  static constexpr Traits traits{};
  static constexpr auto fields() {
    return std::tuple{Field{"kernel_size", &AvgPool::kernel, 1},
                      Field{"stride", &AvgPool::stride, 1}, Field{"padding", &AvgPool::padding},
                      Field{"count_padding", &AvgPool::count_padding}};
  }

  Shape output_shape(const InputShapes& inputs) const {
    const Shape& in = inputs.image();
    Shape out = in;
    for (std::size_t axis = 0; axis < 2; ++axis) {
      if (padding[axis] > kernel[axis] / 2) {
        inputs.fail("padding is ", padding[axis], "; expected at most ", kernel[axis] / 2,
                    ", half the kernel");
      }
      const std::int64_t room = in[axis + 2] + 2 * padding[axis] - kernel[axis];
      if (room < 0) inputs.fail("input ", to_string(in), " is smaller than the kernel");
      out[axis + 2] = room / stride[axis] + 1;
    }
    return out;
  }
  std::vector<Parameter> parameters(const std::string&) const { return {}; }
  std::int64_t macs(const Shape&) const { return 0; }
  std::optional<OnnxOperator> onnx() const {
    return OnnxOperator{"AveragePool",
                        {{"kernel_shape", to_attribute(kernel)},
                         {"strides", to_attribute(stride)},
                         {"pads", Integers{padding[0], padding[1], padding[0], padding[1]}},
                         {"count_include_pad", std::int64_t{count_padding}}}};
  }
};

// The elements of one window along an axis that are inside the map, and what a sum is divided by.
struct PoolWindow {
  std::int64_t first, last;  // one past the last

  PoolWindow(const AvgPool& pool, std::size_t axis, std::int64_t place, std::int64_t extent)
      : first(std::max<std::int64_t>(0, begin(pool, axis, place))),
        last(std::min(extent, begin(pool, axis, place) + pool.kernel[axis])) {}
  std::int64_t divisor(const AvgPool& pool, std::size_t axis) const {
    return pool.count_padding ? pool.kernel[axis] : last - first;
  }

 private:
  static std::int64_t begin(const AvgPool& pool, std::size_t axis, std::int64_t place) {
    return place * pool.stride[axis] - pool.padding[axis];
  }
};

}  // namespace mobileone
