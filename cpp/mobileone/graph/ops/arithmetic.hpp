#pragma once

#include "mobileone/graph/arithmetic.hpp"
#include "mobileone/graph/operator.hpp"

namespace mobileone {

// A function of two numbers for every pair of elements (graph/arithmetic.hpp), of shapes that are
// broadcast as NumPy does: aligned at the last dimension, an extent of 1 repeated.
struct Arithmetic {
  ArithmeticKind kind = ArithmeticKind::add;

  static constexpr const char* name = "Arithmetic";
  static constexpr Arity arity{2, 2};
  static constexpr Traits traits{};
  static constexpr auto fields() { return std::tuple{Field{"kind", &Arithmetic::kind}}; }

  Shape output_shape(const InputShapes& inputs) const {
    const bool first = inputs[0].size() >= inputs[1].size();
    Shape out = inputs[first ? 0 : 1];
    const Shape& other = inputs[first ? 1 : 0];
    const std::size_t lead = out.size() - other.size();
    for (std::size_t axis = 0; axis < other.size(); ++axis) {
      std::int64_t& extent = out[axis + lead];
      if (extent == 1) extent = other[axis];
      if (other[axis] != 1 && other[axis] != extent) {
        inputs.fail("cannot broadcast ", to_string(inputs[0]), " and ", to_string(inputs[1]));
      }
    }
    return out;
  }
  std::vector<Parameter> parameters(const std::string&) const { return {}; }
  std::int64_t macs(const Shape&) const { return 0; }
  std::optional<OnnxOperator> onnx() const { return OnnxOperator{arithmetic(kind).onnx, {}}; }
};

}  // namespace mobileone
