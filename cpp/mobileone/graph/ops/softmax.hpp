#pragma once

#include "mobileone/graph/operator.hpp"

namespace mobileone {

// exp(x) divided by its sum along one axis.
struct Softmax {
  std::int64_t axis = 0;

  static constexpr const char* name = "Softmax";
  static constexpr Arity arity{1, 1};
  static constexpr Traits traits{};
  static constexpr auto fields() { return std::tuple{Field{"axis", &Softmax::axis}}; }

  Shape output_shape(const InputShapes& inputs) const {
    if (axis >= static_cast<std::int64_t>(inputs[0].size())) {
      inputs.fail("axis is ", axis, " of ", to_string(inputs[0]));
    }
    return inputs[0];
  }
  std::vector<Parameter> parameters(const std::string&) const { return {}; }
  std::int64_t macs(const Shape&) const { return 0; }
  std::optional<OnnxOperator> onnx() const { return OnnxOperator{"Softmax", {{"axis", axis}}}; }
};

}  // namespace mobileone
