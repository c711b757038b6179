#pragma once

#include <algorithm>

#include "mobileone/graph/operator.hpp"
#include "mobileone/graph/reductions.hpp"

namespace mobileone {

// Mean, sum or Euclidean norm along axes, which stay with an extent of 1.
struct Reduce {
  ReductionKind kind = ReductionKind::mean;
  Integers axes;

  bool reduces(std::size_t axis) const {
    return std::ranges::count(axes, static_cast<std::int64_t>(axis)) > 0;
  }

  static constexpr const char* name = "Reduce";
  static constexpr Arity arity{1, 1};
  static constexpr Traits traits{};
  static constexpr auto fields() {
    return std::tuple{Field{"kind", &Reduce::kind}, Field{"axes", &Reduce::axes}};
  }

  Shape output_shape(const InputShapes& inputs) const {
    Shape out = inputs[0];
    for (std::int64_t axis : axes) {
      if (axis >= static_cast<std::int64_t>(out.size()) || std::ranges::count(axes, axis) != 1) {
        inputs.fail("axes are ", to_string(Attribute(axes)), " of ", to_string(inputs[0]),
                    "; expected axes of it, each once");
      }
      out[static_cast<std::size_t>(axis)] = 1;
    }
    return out;
  }
  std::vector<Parameter> parameters(const std::string&) const { return {}; }
  std::int64_t macs(const Shape&) const { return 0; }
  std::optional<OnnxOperator> onnx() const { return std::nullopt; }
};

}  // namespace mobileone
