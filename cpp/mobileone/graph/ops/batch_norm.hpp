#pragma once

#include "mobileone/graph/operator.hpp"

namespace mobileone {

// weight, bias, running_mean, running_var [channels]; num_batches_tracked [].
// Inference: y = (x - running_mean) / sqrt(running_var + eps) * weight + bias.
struct BatchNorm {
  std::int64_t channels = 0;
  double eps = 1e-5;
  double momentum = 0.1;

  static constexpr const char* name = "BatchNorm";
  static constexpr Arity arity{1, 1};
  static constexpr Traits traits{};
  static constexpr auto fields() {
    return std::tuple{Field{"channels", &BatchNorm::channels, 1}, Field{"eps", &BatchNorm::eps},
                      Field{"momentum", &BatchNorm::momentum}};
  }

  Shape output_shape(const InputShapes& inputs) const { return inputs.image(channels); }
  std::vector<Parameter> parameters(const std::string& node) const {
    return {{node + ".weight", {channels}},
            {node + ".bias", {channels}},
            {node + ".running_mean", {channels}, DType::float32, false},
            {node + ".running_var", {channels}, DType::float32, false},
            {node + ".num_batches_tracked", {}, DType::int64, false}};
  }
  std::int64_t macs(const Shape&) const { return 0; }
  std::optional<OnnxOperator> onnx() const {
    return OnnxOperator{"BatchNormalization", {{"epsilon", eps}}};
  }
};

}  // namespace mobileone
