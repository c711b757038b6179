#include "mobileone/reference/operator.hpp"
#include "mobileone/reference/places.hpp"

namespace mobileone::reference {

template <>
ReferenceTensor evaluate(const Arithmetic& op, const Call& call) {
  const ReferenceTensor &a = call.input(), &b = call.input(1);
  const auto value = arithmetic(op.kind).value;
  return elementwise(call.shape(), call.threads(), [&](std::size_t i) {
    const auto at = indices_of(call.shape(), i);
    return value(a.values[place_of(a.shape, at)], b.values[place_of(b.shape, at)]);
  });
}

template <>
Values deviation(const Arithmetic& op, const Call& call, const ReferenceTensor& y) {
  if (!arithmetic(op.kind).rounds) return {};
  return each(y.values.size(), call.threads(),
              [&](std::size_t i) { return kUnitRoundoff * std::abs(y.values[i]); });
}

template <>
Gradients vjp(const Arithmetic& op, const Call& call, const ReferenceTensor& gradient) {
  const ReferenceTensor &a = call.input(), &b = call.input(1);
  const ArithmeticFunction& function = arithmetic(op.kind);
  ReferenceTensor da = zeros(a.shape), db = zeros(b.shape);
  for (std::size_t i = 0; i < gradient.values.size(); ++i) {
    const auto at = indices_of(gradient.shape, i);
    const std::size_t first = place_of(a.shape, at), second = place_of(b.shape, at);
    const double x = a.values[first], y = b.values[second];
    da.values[first] += gradient.values[i] * function.by_first(x, y);
    db.values[second] += gradient.values[i] * function.by_second(x, y);
  }
  return {{std::move(da), std::move(db)}, {}};
}

}  // namespace mobileone::reference
