#pragma once

#include "mobileone/graph/quantization.hpp"

namespace mobileone {

// float32 to integers 0 to 255: clamp(rint(x / scale) + zero_point), division in float32, to
// nearest even (ONNX's QuantizeLinear to uint8). NaN becomes the zero point.
struct Quantize {
  double scale = 1.0;
  std::int64_t zero_point = 0;

  static constexpr const char* name = "Quantize";
  static constexpr Arity arity{1, 1};
  static constexpr Traits traits{};
  static constexpr auto fields() {
    return std::tuple{Field{"scale", &Quantize::scale}, Field{"zero_point", &Quantize::zero_point}};
  }

  Shape output_shape(const InputShapes& inputs) const {
    check_scale(inputs, scale);
    check_zero_point(inputs, "zero_point", zero_point);
    return inputs[0];
  }
  std::vector<Parameter> parameters(const std::string&) const { return {}; }
  std::int64_t macs(const Shape&) const { return 0; }
  std::optional<OnnxOperator> onnx() const { return std::nullopt; }
};

}  // namespace mobileone
