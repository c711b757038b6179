#pragma once

#include "mobileone/graph/operator.hpp"

namespace mobileone {

// Elementwise product; the second factor may be [N, C, 1, 1] (squeeze-and-excitation).
struct Multiply {
  static constexpr const char* name = "Multiply";
  static constexpr Arity arity{2, 2};
  static constexpr Traits traits{.takes_activation = true};
  static constexpr auto fields() { return std::tuple{}; }

  Shape output_shape(const InputShapes& inputs) const {
    const Shape& x = inputs[0];
    const Shape gate{x[0], x.size() > 1 ? x[1] : 1, 1, 1};
    if (inputs[1] != x && inputs[1] != gate) {
      inputs.fail("multiplies ", to_string(x), " by ", to_string(inputs[1]));
    }
    return x;
  }
  std::vector<Parameter> parameters(const std::string&) const { return {}; }
  std::int64_t macs(const Shape&) const { return 0; }
  std::optional<OnnxOperator> onnx() const { return OnnxOperator{"Mul", {}}; }
};

}  // namespace mobileone
