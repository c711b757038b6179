#pragma once

#include "mobileone/graph/operator.hpp"

namespace mobileone {

// Sum of one or more tensors of the same shape.
struct Add {
  static constexpr const char* name = "Add";
  static constexpr Arity arity{1, kAnyNumber};
  static constexpr Traits traits{.takes_activation = true, .elementwise = true};
  static constexpr auto fields() { return std::tuple{}; }

  Shape output_shape(const InputShapes& inputs) const {
    for (const Shape& shape : inputs) {
      if (shape != inputs[0]) inputs.fail("adds ", to_string(inputs[0]), " and ", to_string(shape));
    }
    return inputs[0];
  }
  std::vector<Parameter> parameters(const std::string&) const { return {}; }
  std::int64_t macs(const Shape&) const { return 0; }
  std::optional<OnnxOperator> onnx() const { return OnnxOperator{"Sum", {}}; }
};

}  // namespace mobileone
