#pragma once

#include "mobileone/graph/operator.hpp"

namespace mobileone {

// In training, zero with probability p and x / (1 - p) otherwise (graph/dropout.hpp says which);
// else the identity.
struct Dropout {
  double p = 0.0;

  static constexpr const char* name = "Dropout";
  static constexpr Arity arity{1, 1};
  static constexpr Traits traits{.elementwise = true};
  static constexpr auto fields() { return std::tuple{Field{"p", &Dropout::p}}; }

  Shape output_shape(const InputShapes& inputs) const {
    if (!(p >= 0.0 && p < 1.0)) inputs.fail("p is ", p, "; expected 0 <= p < 1");
    return inputs[0];
  }
  std::vector<Parameter> parameters(const std::string&) const { return {}; }
  std::int64_t macs(const Shape&) const { return 0; }
  std::optional<OnnxOperator> onnx() const { return std::nullopt; }
};

}  // namespace mobileone
