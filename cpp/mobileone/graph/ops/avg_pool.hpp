#pragma once

#include "mobileone/graph/pooling.hpp"

namespace mobileone {

// The mean under a sliding kernel, as torch.nn.AvgPool2d without ceil_mode: of all its elements,
// padding being zeros, or with `count_padding` false of those inside the map.
struct AvgPool {
  Extent kernel{2, 2};
  Extent stride{2, 2};
  Extent padding{0, 0};
  bool count_padding = true;

  // What the sum over a window is divided by: one such factor per axis.
  std::int64_t divisor(const PoolWindow& window, std::size_t axis) const {
    return count_padding ? kernel[axis] : window.size();
  }

  static constexpr const char* name = "AvgPool";
  static constexpr Arity arity{1, 1};
  static constexpr Traits traits{};
  static constexpr auto fields() {
    return std::tuple{Field{"kernel_size", &AvgPool::kernel, 1},
                      Field{"stride", &AvgPool::stride, 1}, Field{"padding", &AvgPool::padding},
                      Field{"count_padding", &AvgPool::count_padding}};
  }

  Shape output_shape(const InputShapes& inputs) const { return pooled_shape(*this, inputs); }
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

}  // namespace mobileone
