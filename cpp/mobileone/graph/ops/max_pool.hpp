#pragma once

#include "mobileone/graph/pooling.hpp"

namespace mobileone {

// The largest value under a sliding kernel, as torch.nn.MaxPool2d without ceil_mode: the padding,
// at most half the kernel, never wins. NaN does.
struct MaxPool {
  Extent kernel{2, 2};
  Extent stride{2, 2};
  Extent padding{0, 0};

  static constexpr const char* name = "MaxPool";
  static constexpr Arity arity{1, 1};
  static constexpr Traits traits{};
  static constexpr auto fields() {
    return std::tuple{Field{"kernel_size", &MaxPool::kernel, 1},
                      Field{"stride", &MaxPool::stride, 1}, Field{"padding", &MaxPool::padding}};
  }

  Shape output_shape(const InputShapes& inputs) const { return pooled_shape(*this, inputs); }
  std::vector<Parameter> parameters(const std::string&) const { return {}; }
  std::int64_t macs(const Shape&) const { return 0; }
  std::optional<OnnxOperator> onnx() const {
    return OnnxOperator{"MaxPool",
                        {{"kernel_shape", to_attribute(kernel)},
                         {"strides", to_attribute(stride)},
                         {"pads", Integers{padding[0], padding[1], padding[0], padding[1]}}}};
  }
};

}  // namespace mobileone
