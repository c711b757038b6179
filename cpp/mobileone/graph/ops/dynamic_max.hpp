#pragma once

#include "mobileone/graph/operator.hpp"

namespace mobileone {

// Maximum of `pieces` functions that are linear in the input, with coefficients of the image:
//   y[c] = max over k of sum over j of a[k][j][c] x[(c + j C / groups) mod C] + b[k][c].
// Dynamic ReLU (Chen et al. 2020, eq. 3) has one term and offsets b; its variant A shares the
// coefficients among channels. Dynamic Shift-Max (Li et al. 2021, eq. 6) sums over channels
// C / groups apart, without offsets. Inputs: x [N, C, H, W] and s [N, coefficients(), 1, 1] in
// [0, 1], the a[k][j] piece by piece, then the b[k]. A coefficient is its initial value, 1 for
// a[0][0] and 0 for the others, plus scale (2 s - 1); the scale is 1 for a, and 1/2 for b.
struct DynamicMax {
  std::int64_t channels = 0;
  std::int64_t pieces = 2;
  std::int64_t terms = 1;
  std::int64_t groups = 1;
  bool offsets = true;
  bool shared = false;

  std::int64_t vectors() const { return pieces * (terms + (offsets ? 1 : 0)); }
  std::int64_t coefficients() const { return vectors() * (shared ? 1 : channels); }
  // Coefficient vector v is factor * s + constant.
  double factor(std::int64_t v) const { return v < pieces * terms ? 2.0 : 1.0; }
  double constant(std::int64_t v) const {
    return v == 0 ? 0.0 : (v < pieces * terms ? -1.0 : -0.5);
  }

  static constexpr const char* name = "DynamicMax";
  static constexpr Arity arity{2, 2};
  static constexpr Traits traits{};
  static constexpr auto fields() {
    return std::tuple{
        Field{"channels", &DynamicMax::channels, 1}, Field{"pieces", &DynamicMax::pieces},
        Field{"terms", &DynamicMax::terms},          Field{"groups", &DynamicMax::groups},
        Field{"offsets", &DynamicMax::offsets},      Field{"shared", &DynamicMax::shared}};
  }

  Shape output_shape(const InputShapes& inputs) const {
    const Shape& in = inputs.image(channels);
    if (pieces < 1 || terms < 1 || groups < 1 || channels % groups != 0) {
      inputs.fail("has ", pieces, " pieces, ", terms, " terms and ", groups,
                  " groups; expected positive numbers, and groups that divide ", channels);
    }
    const Shape expected{in[0], coefficients(), 1, 1};
    if (inputs[1] != expected) {
      inputs.fail("coefficients have shape ", to_string(inputs[1]), "; expected ",
                  to_string(expected));
    }
    return in;
  }
  std::vector<Parameter> parameters(const std::string&) const { return {}; }
  std::int64_t macs(const Shape&) const { return 0; }
  std::optional<OnnxOperator> onnx() const { return std::nullopt; }
};

}  // namespace mobileone
