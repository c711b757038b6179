// The activation functions, a row each: all that the float64 reference, the derived rounding bounds
// and the names need to know of one.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>
#include <string>

#include "mobileone/graph/attributes.hpp"

namespace mobileone {

enum class ActivationKind {
  relu,
  sigmoid,
  gelu,
  silu,
  hard_sigmoid,
  hard_swish,
  relu6,
  leaky_relu,
  tanh,
  gelu_tanh,
  mish
};

// Of leaky_relu below 0, as in Maas et al. 2013 and PyTorch's default.
inline constexpr double kLeak = 0.01;

// Relative error of an fp32 exponential in units of u = 2^-24: vector maths libraries stay within
// 4 ulp.
inline constexpr double kExpError = 8.0;
// Absolute error of an fp32 error function in units of u: 1.5e-7 = 2.5 u for Abramowitz & Stegun's
// 7.1.26, whose exponential factor adds at most 0.17 kExpError.
inline constexpr double kErfError = 4.0;

struct ActivationFunction {
  ActivationKind kind;
  const char* name;
  double (*value)(double x);
  double (*derivative)(double x);  // at a kink the one that PyTorch takes
  // Standard deviation of fp32 rounding in units of u (docs/verification.md), where the value is y;
  // null if it is exact.
  double (*error)(double x, double y);
};

// 1 / (1 + exp(-x)), by exponentials of negative numbers only, so that nothing overflows.
inline double sigmoid(double x) {
  const double e = std::exp(-std::abs(x));
  return x >= 0 ? 1.0 / (1.0 + e) : e / (1.0 + e);
}

// log(1 + exp(x)), without overflow.
inline double softplus(double x) { return std::max(x, 0.0) + std::log1p(std::exp(-std::abs(x))); }

inline constexpr double kGeluCube = 0.044715;
inline constexpr double kGeluScale =
    std::numbers::inv_sqrtpi * std::numbers::sqrt2;  // sqrt(2 / pi)
inline double gelu_argument(double x) { return kGeluScale * (x + kGeluCube * x * x * x); }

// In the order of ActivationKind. NaN stays NaN.
inline constexpr std::array kActivations{
    ActivationFunction{ActivationKind::relu, "relu",  //
                       [](double x) { return x < 0.0 ? 0.0 : x; },
                       [](double x) { return x > 0.0 ? 1.0 : 0.0; }, nullptr},
    // y = 1 / (1 + e), e = exp(-x): e's error enters with dy/de = -y^2, i.e. relatively (1 - y);
    // then one addition and one division.
    ActivationFunction{
        ActivationKind::sigmoid, "sigmoid", sigmoid,
        [](double x) { return sigmoid(x) * sigmoid(-x); },
        [](double, double y) { return y * std::sqrt(std::pow(kExpError * (1.0 - y), 2) + 2.0); }},
    // x Phi(x) (Hendrycks & Gimpel 2016): x / 2 times (1 + erf), i.e. the error function, one
    // addition, two products.
    ActivationFunction{
        ActivationKind::gelu, "gelu",
        [](double x) { return 0.5 * x * std::erfc(-x / std::numbers::sqrt2); },
        [](double x) {
          const double density =
              std::exp(-x * x / 2.0) * std::numbers::inv_sqrtpi / std::numbers::sqrt2;
          return 0.5 * std::erfc(-x / std::numbers::sqrt2) + x * density;
        },
        [](double x, double y) { return std::hypot(kErfError * x / 2.0, std::sqrt(3.0) * y); }},
    // x sigmoid(x): the sigmoid's error and one product; the sigmoid of 0 is 1/2.
    ActivationFunction{ActivationKind::silu, "silu", [](double x) { return x * sigmoid(x); },
                       [](double x) { return sigmoid(x) * (1.0 + x * sigmoid(-x)); },
                       [](double x, double y) {
                         const double gate = x == 0.0 ? 0.5 : y / x;
                         return std::abs(y) *
                                std::sqrt(std::pow(kExpError * (1.0 - gate), 2) + 3.0);
                       }},
    // min(max(x / 6 + 1/2, 0), 1): the constant 1/6, the product and the sum; nothing where it is
    // clamped.
    ActivationFunction{ActivationKind::hard_sigmoid, "hard_sigmoid",
                       [](double x) { return std::clamp(x / 6.0 + 0.5, 0.0, 1.0); },
                       [](double x) { return x > -3.0 && x < 3.0 ? 1.0 / 6.0 : 0.0; },
                       [](double x, double y) {
                         return y <= 0.0 || y >= 1.0 ? 0.0
                                                     : std::hypot(std::sqrt(2.0) * x / 6.0, y);
                       }},
    // x hard_sigmoid(x) (Howard et al. 2019, section 5.2): the hard sigmoid's error, x times as
    // large, and one product; also above 3, where some divide by 6 what they multiplied by 6.
    ActivationFunction{ActivationKind::hard_swish, "hard_swish",
                       [](double x) { return x * std::clamp(x / 6.0 + 0.5, 0.0, 1.0); },
                       [](double x) { return x < -3.0 ? 0.0 : (x > 3.0 ? 1.0 : x / 3.0 + 0.5); },
                       [](double x, double y) {
                         const double line = std::abs(x) < 3.0 ? std::sqrt(2.0) * x * x / 6.0 : 0.0;
                         return std::hypot(line, std::sqrt(2.0) * y);
                       }},
    ActivationFunction{ActivationKind::relu6, "relu6",
                       [](double x) { return std::clamp(x, 0.0, 6.0); },
                       [](double x) { return x > 0.0 && x < 6.0 ? 1.0 : 0.0; }, nullptr},
    // Below 0 the constant and the product.
    ActivationFunction{ActivationKind::leaky_relu, "leaky_relu",
                       [](double x) { return x < 0.0 ? kLeak * x : x; },
                       [](double x) { return x > 0.0 ? 1.0 : kLeak; },
                       [](double x, double y) { return x < 0.0 ? std::sqrt(2.0) * y : 0.0; }},
    // Within 4 ulp in vector maths libraries, as the exponential.
    ActivationFunction{ActivationKind::tanh, "tanh", [](double x) { return std::tanh(x); },
                       [](double x) { return 1.0 - std::pow(std::tanh(x), 2); },
                       [](double, double y) { return kExpError * std::abs(y); }},
    // x / 2 (1 + tanh(a (x + b x^3))) (Hendrycks & Gimpel 2016, section 2): the tangent's argument
    // has five roundings, its own error is as above; one addition, two products.
    ActivationFunction{ActivationKind::gelu_tanh, "gelu_tanh",
                       [](double x) { return 0.5 * x * (1.0 + std::tanh(gelu_argument(x))); },
                       [](double x) {
                         const double t = std::tanh(gelu_argument(x));
                         const double slope = kGeluScale * (1.0 + 3.0 * kGeluCube * x * x);
                         return 0.5 * (1.0 + t) + 0.5 * x * (1.0 - t * t) * slope;
                       },
                       [](double x, double y) {
                         const double t = std::tanh(gelu_argument(x));
                         const double argument = std::sqrt(5.0) * gelu_argument(x) * (1.0 - t * t);
                         return std::hypot(0.5 * x * argument, 0.5 * x * kExpError * t,
                                           std::sqrt(3.0) * y);
                       }},
    // x tanh(log(1 + exp(x))) (Misra 2019): the exponential's error moves the logarithm by
    // sigmoid(x) of it, the logarithm and the tangent have their own; one addition, one product.
    ActivationFunction{ActivationKind::mish, "mish",
                       [](double x) { return x * std::tanh(softplus(x)); },
                       [](double x) {
                         const double t = std::tanh(softplus(x));
                         return t + x * (1.0 - t * t) * sigmoid(x);
                       },
                       [](double x, double y) {
                         const double t = std::tanh(softplus(x));
                         const double logarithm =
                             std::hypot((kExpError + 1.0) * sigmoid(x), kExpError * softplus(x));
                         return std::hypot(x * (1.0 - t * t) * logarithm, (kExpError + 1.0) * y);
                       }},
};

constexpr const auto& rows_of(ActivationKind) { return kActivations; }
static_assert(in_order(kActivations));
constexpr const ActivationFunction& activation(ActivationKind kind) { return row_of(kind); }

inline const char* to_string(ActivationKind kind) { return activation(kind).name; }

}  // namespace mobileone
