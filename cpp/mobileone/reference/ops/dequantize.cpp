#include "mobileone/reference/operator.hpp"

namespace mobileone::reference {

namespace {

double used_scale(const Dequantize& op) {
  return static_cast<double>(static_cast<float>(op.scale));
}

}  // namespace

template <>
ReferenceTensor evaluate(const Dequantize& op, const Call& call) {
  const Values& x = call.input().values;
  const auto zero_point = static_cast<double>(op.zero_point);
  return elementwise(call.shape(), call.threads(),
                     [&](std::size_t i) { return (x[i] - zero_point) * used_scale(op); });
}

// The difference of two integers is exact, and so is what is left of the product's 8 + 24 bits but
// for one rounding.
template <>
Values deviation(const Dequantize&, const Call& call, const ReferenceTensor& y) {
  return each(y.values.size(), call.threads(),
              [&](std::size_t i) { return kUnitRoundoff * std::abs(y.values[i]); });
}

template <>
Gradients vjp(const Dequantize& op, const Call& call, const ReferenceTensor& gradient) {
  return {{elementwise(call.shape(), call.threads(),
                       [&](std::size_t i) { return gradient.values[i] * used_scale(op); })},
          {}};
}

}  // namespace mobileone::reference
