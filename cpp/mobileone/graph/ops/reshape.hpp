#pragma once

#include <algorithm>

#include "mobileone/graph/operator.hpp"

namespace mobileone {

// The same elements, row-major, in another shape: 0 keeps the input's extent of that axis, and at
// most one -1 takes what is left.
struct Reshape {
  Integers shape;

  static constexpr const char* name = "Reshape";
  static constexpr Arity arity{1, 1};
  static constexpr Traits traits{};
  static constexpr auto fields() { return std::tuple{Field{"shape", &Reshape::shape, -1}}; }

  Shape output_shape(const InputShapes& inputs) const {
    const Shape& in = inputs[0];
    Shape out(shape.begin(), shape.end());
    std::int64_t known = 1;
    for (std::size_t axis = 0; axis < out.size(); ++axis) {
      if (out[axis] == 0 && axis < in.size()) out[axis] = in[axis];
      if (out[axis] > 0) known *= out[axis];
    }
    const std::int64_t count = element_count(in);
    const bool open = std::ranges::count(shape, -1) == 1;
    const auto left = std::ranges::find(out, -1);
    if (open && known > 0) *left = count / known;
    if (std::ranges::count(shape, -1) > 1 || element_count(out) != count) {
      inputs.fail("makes ", to_string(Attribute(shape)), " of ", to_string(in),
                  "; expected as many elements, and at most one -1");
    }
    return out;
  }
  std::vector<Parameter> parameters(const std::string&) const { return {}; }
  std::int64_t macs(const Shape&) const { return 0; }
  std::optional<OnnxOperator> onnx() const { return std::nullopt; }
};

}  // namespace mobileone
