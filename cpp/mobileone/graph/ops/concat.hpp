#pragma once

#include "mobileone/graph/operator.hpp"

namespace mobileone {

// Maps that differ in their number of channels, one after the other.
struct Concat {
  static constexpr const char* name = "Concat";
  static constexpr Arity arity{1, kAnyNumber};
  static constexpr Traits traits{};
  static constexpr auto fields() { return std::tuple{}; }

  Shape output_shape(const InputShapes& inputs) const {
    Shape out = inputs.image();
    out[1] = 0;
    for (const Shape& shape : inputs) {
      if (shape.size() != 4 || shape[0] != out[0] || shape[2] != out[2] || shape[3] != out[3]) {
        inputs.fail("joins ", to_string(inputs[0]), " and ", to_string(shape));
      }
      out[1] += shape[1];
    }
    return out;
  }
  std::vector<Parameter> parameters(const std::string&) const { return {}; }
  std::int64_t macs(const Shape&) const { return 0; }
  std::optional<OnnxOperator> onnx() const {
    return OnnxOperator{"Concat", {{"axis", std::int64_t{1}}}};
  }
};

}  // namespace mobileone
