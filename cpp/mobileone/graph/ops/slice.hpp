#pragma once

#include <algorithm>

#include "mobileone/graph/operator.hpp"

namespace mobileone {

// Elements start, start + step, ... before `end` of one axis; the end is at most its extent.
struct Slice {
  std::int64_t axis = 1;
  std::int64_t start = 0;
  std::int64_t end = 0;
  std::int64_t step = 1;

  static constexpr const char* name = "Slice";
  static constexpr Arity arity{1, 1};
  static constexpr Traits traits{};
  static constexpr auto fields() {
    return std::tuple{Field{"axis", &Slice::axis}, Field{"start", &Slice::start},
                      Field{"end", &Slice::end, 1}, Field{"step", &Slice::step, 1}};
  }

  Shape output_shape(const InputShapes& inputs) const {
    Shape out = inputs[0];
    const auto at = static_cast<std::size_t>(axis);
    if (at >= out.size() || start >= std::min(end, out[at])) {
      inputs.fail("takes ", start, " to ", end, " of axis ", axis, " of ", to_string(inputs[0]),
                  "; expected an element of it");
    }
    out[at] = (std::min(end, out[at]) - start + step - 1) / step;
    return out;
  }
  std::vector<Parameter> parameters(const std::string&) const { return {}; }
  std::int64_t macs(const Shape&) const { return 0; }
  std::optional<OnnxOperator> onnx() const { return std::nullopt; }
};

}  // namespace mobileone
