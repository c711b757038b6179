#pragma once

#include "mobileone/graph/operator.hpp"

namespace mobileone {

// Over the last dimension of [..., channels], with the biased variance (Ba et al. 2016):
// y = (x - mean) / sqrt(var + eps) * weight + bias; weight and bias [channels].
struct LayerNorm {
  std::int64_t channels = 0;
  double eps = 1e-5;

  static constexpr const char* name = "LayerNorm";
  static constexpr Arity arity{1, 1};
  static constexpr Traits traits{};
  static constexpr auto fields() {
    return std::tuple{Field{"channels", &LayerNorm::channels, 1}, Field{"eps", &LayerNorm::eps}};
  }

  Shape output_shape(const InputShapes& inputs) const { return inputs.rows(channels); }
  std::vector<Parameter> parameters(const std::string& node) const {
    return {{node + ".weight", {channels}}, {node + ".bias", {channels}}};
  }
  std::int64_t macs(const Shape&) const { return 0; }
  std::optional<OnnxOperator> onnx() const { return std::nullopt; }
};

}  // namespace mobileone
