#pragma once

#include "mobileone/graph/operator.hpp"

namespace mobileone {

// [1, ...] repeated for every image: as often as the second input's first dimension says.
struct Expand {
  static constexpr const char* name = "Expand";
  static constexpr Arity arity{2, 2};
  static constexpr Traits traits{.lends_shape = true};
  static constexpr auto fields() { return std::tuple{}; }

  Shape output_shape(const InputShapes& inputs) const {
    Shape out = inputs[0];
    if (out.empty() || out[0] != 1 || inputs[1].empty()) {
      inputs.fail("repeats ", to_string(out), "; expected [1, ...]");
    }
    out[0] = inputs[1][0];
    return out;
  }
  std::vector<Parameter> parameters(const std::string&) const { return {}; }
  std::int64_t macs(const Shape&) const { return 0; }
  std::optional<OnnxOperator> onnx() const { return std::nullopt; }
};

}  // namespace mobileone
