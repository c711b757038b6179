#pragma once

#include "mobileone/graph/operator.hpp"

namespace mobileone {

// [N, C, H, W] -> [N, C, 1, 1], mean over H and W.
struct GlobalAvgPool {
  static constexpr const char* name = "GlobalAvgPool";
  static constexpr Arity arity{1, 1};
  static constexpr Traits traits{};
  static constexpr auto fields() { return std::tuple{}; }

  Shape output_shape(const InputShapes& inputs) const {
    const Shape& in = inputs.image();
    return {in[0], in[1], 1, 1};
  }
  std::vector<Parameter> parameters(const std::string&) const { return {}; }
  std::int64_t macs(const Shape&) const { return 0; }
  std::optional<OnnxOperator> onnx() const { return OnnxOperator{"GlobalAveragePool", {}}; }
};

}  // namespace mobileone
