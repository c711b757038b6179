#include "mobileone/reference/operator.hpp"

namespace mobileone::reference {

template <>
ReferenceTensor evaluate(const Activation& op, const Call& call) {
  const auto f = activation(op.kind).value;
  const Values& x = call.input().values;
  return elementwise(call.shape(), call.threads(), [&](std::size_t i) { return f(x[i]); });
}

template <>
Values deviation(const Activation& op, const Call& call, const ReferenceTensor& y) {
  const auto error = activation(op.kind).error;
  if (!error) return {};
  const Values& x = call.input().values;
  return each(y.values.size(), call.threads(),
              [&](std::size_t i) { return kUnitRoundoff * error(x[i], y.values[i]); });
}

template <>
Gradients vjp(const Activation& op, const Call& call, const ReferenceTensor& gradient) {
  const auto derivative = activation(op.kind).derivative;
  const Values& x = call.input().values;
  return {{elementwise(call.shape(), call.threads(),
                       [&](std::size_t i) { return gradient.values[i] * derivative(x[i]); })},
          {}};
}

}  // namespace mobileone::reference
