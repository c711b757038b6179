#pragma once

#include "mobileone/graph/operator.hpp"

namespace mobileone {

// The number of positions in a patch, which must divide the map [N, C, H, W].
inline std::int64_t patch_positions(const Extent& patch, const Shape& map,
                                    const InputShapes& inputs) {
  if (patch[0] < 1 || patch[1] < 1 || map[2] % patch[0] != 0 || map[3] % patch[1] != 0) {
    inputs.fail("map has shape ", to_string(map), "; expected multiples of the patch (", patch[0],
                ", ", patch[1], ")");
  }
  return patch[0] * patch[1];
}

// [B, C, H, W] -> [B h w, N, C], H and W multiples of the patch (h, w): one sequence per image and
// position inside the patch, b h w + h-position w + w-position, of the N = (H / h)(W / w) patches
// in row-major order (MobileViT, Mehta & Rastegari 2022, section 3.1).
struct Unfold {
  Extent patch{1, 1};

  static constexpr const char* name = "Unfold";
  static constexpr Arity arity{1, 1};
  static constexpr Traits traits{};
  static constexpr auto fields() { return std::tuple{Field{"patch", &Unfold::patch}}; }

  Shape output_shape(const InputShapes& inputs) const {
    const Shape& in = inputs.image();
    const std::int64_t positions = patch_positions(patch, in, inputs);
    return {in[0] * positions, in[2] * in[3] / positions, in[1]};
  }
  std::vector<Parameter> parameters(const std::string&) const { return {}; }
  std::int64_t macs(const Shape&) const { return 0; }
  std::optional<OnnxOperator> onnx() const { return std::nullopt; }
};

}  // namespace mobileone
