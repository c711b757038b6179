#pragma once

#include "mobileone/graph/ops/unfold.hpp"

namespace mobileone {

// The inverse of Unfold: [B h w, N, C] and a map [B, any, H, W] -> [B, C, H, W].
struct Fold {
  Extent patch{1, 1};

  static constexpr const char* name = "Fold";
  static constexpr Arity arity{2, 2};
  static constexpr Traits traits{.lends_shape = true};
  static constexpr auto fields() { return std::tuple{Field{"patch", &Fold::patch}}; }

  Shape output_shape(const InputShapes& inputs) const {
    const Shape& in = inputs.tokens();
    const Shape& map = inputs[1];
    if (map.size() != 4) inputs.fail("map has shape ", to_string(map), "; expected 4-d");
    const std::int64_t positions = patch_positions(patch, map, inputs);
    const Shape expected{map[0] * positions, map[2] * map[3] / positions, in[2]};
    if (in != expected) {
      inputs.fail("input has shape ", to_string(in), "; expected ", to_string(expected));
    }
    return {map[0], in[2], map[2], map[3]};
  }
  std::vector<Parameter> parameters(const std::string&) const { return {}; }
  std::int64_t macs(const Shape&) const { return 0; }
  std::optional<OnnxOperator> onnx() const { return std::nullopt; }
};

}  // namespace mobileone
