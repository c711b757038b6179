#pragma once

#include <algorithm>

#include "mobileone/graph/operator.hpp"

namespace mobileone {

// Axis i of the result is axis perm[i] of the input.
struct Transpose {
  Integers perm;

  static constexpr const char* name = "Transpose";
  static constexpr Arity arity{1, 1};
  static constexpr Traits traits{};
  static constexpr auto fields() { return std::tuple{Field{"perm", &Transpose::perm}}; }

  Shape output_shape(const InputShapes& inputs) const {
    const Shape& in = inputs[0];
    Shape out(in.size());
    bool fits = perm.size() == in.size();
    for (std::size_t axis = 0; fits && axis < in.size(); ++axis) {
      fits = std::ranges::count(perm, static_cast<std::int64_t>(axis)) == 1;
    }
    if (!fits) {
      inputs.fail("perm is ", to_string(Attribute(perm)), " of ", to_string(in),
                  "; expected its axes in some order");
    }
    for (std::size_t i = 0; i < in.size(); ++i) out[i] = in[static_cast<std::size_t>(perm[i])];
    return out;
  }
  std::vector<Parameter> parameters(const std::string&) const { return {}; }
  std::int64_t macs(const Shape&) const { return 0; }
  std::optional<OnnxOperator> onnx() const { return OnnxOperator{"Transpose", {{"perm", perm}}}; }
};

}  // namespace mobileone
