#pragma once

#include <utility>

#include "mobileone/graph/operator.hpp"

namespace mobileone {

// Tensors that differ in their extent of one axis, one after the other: maps by channels.
struct Concat {
  std::int64_t axis = 1;

  // Whether it joins maps by channels.
  bool by_channels(const Shape& result) const { return axis == 1 && result.size() == 4; }

  static constexpr const char* name = "Concat";
  static constexpr Arity arity{1, kAnyNumber};
  static constexpr Traits traits{};
  static constexpr auto fields() { return std::tuple{Field{"axis", &Concat::axis}}; }

  Shape output_shape(const InputShapes& inputs) const {
    Shape out = inputs[0];
    const auto at = static_cast<std::size_t>(axis);
    if (at >= out.size()) inputs.fail("joins ", to_string(out), " along axis ", axis);
    out[at] = 0;
    for (Shape shape : inputs) {
      const std::int64_t extent = at < shape.size() ? std::exchange(shape[at], out[at]) : 0;
      if (shape != out) inputs.fail("joins ", to_string(inputs[0]), " and ", to_string(shape));
      out[at] += extent;
    }
    return out;
  }
  std::vector<Parameter> parameters(const std::string&) const { return {}; }
  std::int64_t macs(const Shape&) const { return 0; }
  std::optional<OnnxOperator> onnx() const { return OnnxOperator{"Concat", {{"axis", axis}}}; }
};

}  // namespace mobileone
