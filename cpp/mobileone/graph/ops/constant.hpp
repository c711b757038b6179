#pragma once

#include "mobileone/graph/operator.hpp"

namespace mobileone {

// A tensor of its own, the same for every image; weight "value".
struct Constant {
  Integers shape;

  static constexpr const char* name = "Constant";
  static constexpr Arity arity{0, 0};
  static constexpr Traits traits{};
  static constexpr auto fields() { return std::tuple{Field{"shape", &Constant::shape, 1}}; }

  Shape output_shape(const InputShapes&) const { return {shape.begin(), shape.end()}; }
  std::vector<Parameter> parameters(const std::string& node) const {
    return {{node + ".value", {shape.begin(), shape.end()}}};
  }
  std::int64_t macs(const Shape&) const { return 0; }
  std::optional<OnnxOperator> onnx() const { return OnnxOperator{"Identity", {}}; }
};

}  // namespace mobileone
