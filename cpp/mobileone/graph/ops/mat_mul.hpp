#pragma once

#include "mobileone/graph/operator.hpp"

namespace mobileone {

// [..., M, K] x [..., K, N] -> [..., M, N], of the same leading dimensions; `features` is K.
struct MatMul {
  std::int64_t features = 0;

  static constexpr const char* name = "MatMul";
  static constexpr Arity arity{2, 2};
  static constexpr Traits traits{};
  static constexpr auto fields() { return std::tuple{Field{"features", &MatMul::features, 1}}; }

  Shape output_shape(const InputShapes& inputs) const {
    const Shape &a = inputs[0], &b = inputs[1];
    const std::size_t rank = a.size();
    bool fits = rank >= 2 && b.size() == rank;
    for (std::size_t axis = 0; fits && axis + 2 < rank; ++axis) fits = a[axis] == b[axis];
    if (!fits || a[rank - 1] != features || b[rank - 2] != features) {
      inputs.fail("multiplies ", to_string(a), " and ", to_string(b), "; expected [..., M, ",
                  features, "] and [..., ", features, ", N]");
    }
    Shape out = a;
    out.back() = b.back();
    return out;
  }
  std::vector<Parameter> parameters(const std::string&) const { return {}; }
  std::int64_t macs(const Shape& result) const { return element_count(result) * features; }
  std::optional<OnnxOperator> onnx() const { return OnnxOperator{"MatMul", {}}; }
};

}  // namespace mobileone
