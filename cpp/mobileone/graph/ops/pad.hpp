#pragma once

#include "mobileone/graph/operator.hpp"

namespace mobileone {

// So many elements of one value before and after each axis.
struct Pad {
  Integers before, after;
  double value = 0.0;

  static constexpr const char* name = "Pad";
  static constexpr Arity arity{1, 1};
  static constexpr Traits traits{};
  static constexpr auto fields() {
    return std::tuple{Field{"before", &Pad::before}, Field{"after", &Pad::after},
                      Field{"value", &Pad::value}};
  }

  Shape output_shape(const InputShapes& inputs) const {
    Shape out = inputs[0];
    if (before.size() != out.size() || after.size() != out.size()) {
      inputs.fail("pads ", before.size(), " and ", after.size(), " axes of ", to_string(out),
                  "; expected all ", out.size());
    }
    for (std::size_t axis = 0; axis < out.size(); ++axis) out[axis] += before[axis] + after[axis];
    return out;
  }
  std::vector<Parameter> parameters(const std::string&) const { return {}; }
  std::int64_t macs(const Shape&) const { return 0; }
  std::optional<OnnxOperator> onnx() const { return std::nullopt; }
};

}  // namespace mobileone
