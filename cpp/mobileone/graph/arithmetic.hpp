// The functions of two numbers that Arithmetic has, a row each.
#pragma once

#include <array>
#include <cmath>

#include "mobileone/graph/attributes.hpp"

namespace mobileone {

enum class ArithmeticKind { add, subtract, multiply, divide, maximum, minimum };

struct ArithmeticFunction {
  ArithmeticKind kind;
  const char* name;
  const char* onnx;
  double (*value)(double a, double b);
  // The derivatives, where equal numbers share a maximum's, as in PyTorch.
  double (*by_first)(double a, double b);
  double (*by_second)(double a, double b);
  bool rounds;  // whether fp32 rounds its result
};

// NaN if either is.
inline double larger(double a, double b) { return a > b || std::isnan(a) ? a : b; }
inline double smaller(double a, double b) { return a < b || std::isnan(a) ? a : b; }
// 1 where a > b, 1/2 where they are equal.
inline double share(double a, double b) { return a > b ? 1.0 : (a == b ? 0.5 : 0.0); }

// In the order of ArithmeticKind.
inline constexpr std::array kArithmetic{
    ArithmeticFunction{ArithmeticKind::add, "add", "Add", [](double a, double b) { return a + b; },
                       [](double, double) { return 1.0; }, [](double, double) { return 1.0; },
                       true},
    ArithmeticFunction{ArithmeticKind::subtract, "subtract", "Sub",
                       [](double a, double b) { return a - b; }, [](double, double) { return 1.0; },
                       [](double, double) { return -1.0; }, true},
    ArithmeticFunction{ArithmeticKind::multiply, "multiply", "Mul",
                       [](double a, double b) { return a * b; }, [](double, double b) { return b; },
                       [](double a, double) { return a; }, true},
    ArithmeticFunction{ArithmeticKind::divide, "divide", "Div",
                       [](double a, double b) { return a / b; },
                       [](double, double b) { return 1.0 / b; },
                       [](double a, double b) { return -a / (b * b); }, true},
    ArithmeticFunction{ArithmeticKind::maximum, "maximum", "Max", larger, share,
                       [](double a, double b) { return share(b, a); }, false},
    ArithmeticFunction{ArithmeticKind::minimum, "minimum", "Min", smaller,
                       [](double a, double b) { return share(b, a); }, share, false},
};

constexpr const auto& rows_of(ArithmeticKind) { return kArithmetic; }
static_assert(in_order(kArithmetic));
constexpr const ArithmeticFunction& arithmetic(ArithmeticKind kind) { return row_of(kind); }

}  // namespace mobileone
