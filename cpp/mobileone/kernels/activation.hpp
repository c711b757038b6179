// Activations that kernels apply to what they have just computed: one row each, from which the
// kinds, their names, the vector forms (simd/activations.hpp) and the float64 references with error
// bounds (reference/) are made. A new activation is a new row.
#pragma once

#include <optional>
#include <string_view>

// ROW(kind, name, vector form, exact value, steepest slope, error):
//   vector form     of Vec x, with the functions of simd/simd.hpp and simd/math.hpp; passes NaN on
//   exact value     of double x, with <cmath> and <algorithm>
//   steepest slope  the largest |derivative|: by how much an error of x grows at most
//   error           of the vector form, in units of u = 2^-24, for double x = |x| and y = |value|.
//                   Derivations: silu and sigmoid in simd/math.hpp, silu's shorter form in
//                   simd/epilogue.simd.cpp. hard_sigmoid: 1/6 is rounded (x / 6 <= 1/2 where it
//                   matters), and so is the sum, to y <= 1. Taking a minimum or maximum is exact.
//                   hard_swish: that times x, and the product is rounded. leaky_relu: below 0
//                   the constant and the product are rounded. gelu: in simd/math.hpp.
#define MOBILEONE_ACTIVATIONS(ROW)                                                                 \
  ROW(kNone, "none", x, x, 1.0, 0.0)                                                               \
  ROW(kRelu, "relu", max(zero(), x), std::max(x, 0.0), 1.0, 0.0)                                   \
  ROW(kRelu6, "relu6", min(broadcast(6.0f), max(zero(), x)), std::clamp(x, 0.0, 6.0), 1.0, 0.0)    \
  ROW(kSigmoid, "sigmoid", sigmoid(x), 1.0 / (1.0 + std::exp(-x)), 0.25, 7.5 * y)                  \
  ROW(kSilu, "silu", silu(x), x / (1.0 + std::exp(-x)), 1.1, (8.0 + x / 3.0) * y)                  \
  ROW(kHardSigmoid, "hard_sigmoid", hard_sigmoid(x), std::clamp(x / 6.0 + 0.5, 0.0, 1.0), 1 / 6.0, \
      0.5 + y)                                                                                     \
  ROW(kHardSwish, "hard_swish", mul(x, hard_sigmoid(x)), std::clamp(x / 6.0 + 0.5, 0.0, 1.0) * x,  \
      1.5, 0.5 * x + 2.0 * y)                                                                      \
  ROW(kLeakyRelu, "leaky_relu", max(mul(x, broadcast(0.01f)), x), std::max(0.01 * x, x), 1.0,      \
      2.0 * y)                                                                                     \
  ROW(kGelu, "gelu", gelu(x), 0.5 * x * std::erfc(-x / std::sqrt(2.0)), 1.13, 4.0 * x)

namespace mobileone::kernels {

#define MOBILEONE_KIND(kind, ...) kind,
enum class Activation { MOBILEONE_ACTIVATIONS(MOBILEONE_KIND) };

#define MOBILEONE_LISTED(kind, ...) Activation::kind,
inline constexpr Activation kActivations[] = {MOBILEONE_ACTIVATIONS(MOBILEONE_LISTED)};
#undef MOBILEONE_KIND
#undef MOBILEONE_LISTED

/// "relu", "hard_sigmoid", ...
std::string_view activation_name(Activation activation);
/// The activation of that name, if kernels have it.
std::optional<Activation> find_activation(std::string_view name);

/// Whether the microkernels' floor is all that the activation needs.
constexpr bool is_floor(Activation activation) {
  return activation == Activation::kNone || activation == Activation::kRelu;
}

/// What follows the sums of a convolution: activation(sum + residual).
struct Epilogue {
  Activation activation = Activation::kNone;
  bool residual = false;

  /// Whether the microkernels' floor is all that it needs.
  constexpr bool floor_only() const { return !residual && is_floor(activation); }
};

}  // namespace mobileone::kernels
