#pragma once

#include "mobileone/graph/operator.hpp"

namespace mobileone {

// One of the network's inputs, [N, channels, H, W] float32.
struct Input {
  std::int64_t channels = 3;

  static constexpr const char* name = "Input";
  static constexpr Arity arity{0, 0};
  static constexpr Traits traits{};
  static constexpr auto fields() { return std::tuple{Field{"channels", &Input::channels, 1}}; }

  Shape output_shape(const InputShapes& inputs) const {
    const Shape& given = inputs[0];
    if (given.size() != 4 || given[1] != channels) {
      inputs.fail("has shape ", to_string(given), "; expected (batch, ", channels,
                  ", height, width)");
    }
    if (given[0] < 0 || given[2] < 1 || given[3] < 1) {
      inputs.fail("has shape ", to_string(given), "; extents must be positive");
    }
    return given;
  }
  std::vector<Parameter> parameters(const std::string&) const { return {}; }
  std::int64_t macs(const Shape&) const { return 0; }
  std::optional<OnnxOperator> onnx() const { return std::nullopt; }
};

}  // namespace mobileone
