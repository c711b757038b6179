#pragma once

#include "mobileone/graph/operator.hpp"

namespace mobileone {

// Bilinear, pixel centres aligned (PyTorch's align_corners=False, no antialiasing): of one input,
// to `scale` times H and W, and then to the next multiples of `multiple`; of two, the first to H
// and W of the second. The identity where the size is the same.
struct Resize {
  Extent multiple{1, 1};
  Extent scale{1, 1};

  static constexpr const char* name = "Resize";
  static constexpr Arity arity{1, 2};
  static constexpr Traits traits{.lends_shape = true};
  static constexpr auto fields() {
    return std::tuple{Field{"multiple", &Resize::multiple}, Field{"scale", &Resize::scale, 1}};
  }

  Shape output_shape(const InputShapes& inputs) const {
    Shape out = inputs.image();
    const bool lent = inputs.size() == 2;
    if (lent && inputs[1].size() != 4) {
      inputs.fail("second input has shape ", to_string(inputs[1]), "; expected 4-d");
    }
    for (std::size_t axis = 0; axis < 2; ++axis) {
      const std::int64_t factor = multiple[axis];
      if (factor < 1) inputs.fail("multiple is ", factor, "; expected at least 1");
      std::int64_t& extent = out[axis + 2];
      const std::int64_t scaled = extent * scale[axis];
      extent = lent ? inputs[1][axis + 2] : (scaled + factor - 1) / factor * factor;
    }
    return out;
  }
  std::vector<Parameter> parameters(const std::string&) const { return {}; }
  std::int64_t macs(const Shape&) const { return 0; }
  std::optional<OnnxOperator> onnx() const { return std::nullopt; }
};

}  // namespace mobileone
