#pragma once

#include "mobileone/graph/activations.hpp"
#include "mobileone/graph/operator.hpp"

namespace mobileone {

// One of the functions of graph/activations.hpp, of every element.
struct Activation {
  ActivationKind kind = ActivationKind::relu;

  static constexpr const char* name = "Activation";
  static constexpr Arity arity{1, 1};
  static constexpr Traits traits{.elementwise = true};
  static constexpr auto fields() { return std::tuple{Field{"kind", &Activation::kind}}; }

  Shape output_shape(const InputShapes& inputs) const { return inputs[0]; }
  std::vector<Parameter> parameters(const std::string&) const { return {}; }
  std::int64_t macs(const Shape&) const { return 0; }
  std::optional<OnnxOperator> onnx() const { return std::nullopt; }
};

}  // namespace mobileone
