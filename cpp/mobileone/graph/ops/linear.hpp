#pragma once

#include "mobileone/graph/operator.hpp"

namespace mobileone {

// [..., in] -> [..., out], and [N, in, 1, 1] -> [N, out]; weight [out, in], bias [out] if `bias`.
struct Linear {
  std::int64_t in_features = 0;
  std::int64_t out_features = 0;
  bool bias = true;

  // Whether the input is [N, in, 1, 1], which in nhwc is rows, too. Otherwise it is [..., in].
  bool takes_pixels(const Shape& input) const {
    return input.size() == 4 && input[1] == in_features && input[2] == 1 && input[3] == 1;
  }

  static constexpr const char* name = "Linear";
  static constexpr Arity arity{1, 1};
  static constexpr Traits traits{.takes_activation = true};
  static constexpr auto fields() {
    return std::tuple{Field{"in_features", &Linear::in_features, 1},
                      Field{"out_features", &Linear::out_features, 1},
                      Field{"bias", &Linear::bias}};
  }

  Shape output_shape(const InputShapes& inputs) const {
    const Shape& in = inputs[0];
    if (takes_pixels(in)) return {in[0], out_features};
    Shape out = inputs.rows(in_features);
    out.back() = out_features;
    return out;
  }
  std::vector<Parameter> parameters(const std::string& node) const {
    std::vector<Parameter> result{{node + ".weight", {out_features, in_features}}};
    if (bias) result.push_back({node + ".bias", {out_features}});
    return result;
  }
  std::int64_t macs(const Shape& result) const { return element_count(result) * in_features; }
  std::optional<OnnxOperator> onnx() const { return std::nullopt; }
};

}  // namespace mobileone
