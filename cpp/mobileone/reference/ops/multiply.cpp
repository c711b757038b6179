#include "mobileone/reference/operator.hpp"

namespace mobileone::reference {

template <>
ReferenceTensor evaluate(const Multiply&, const Call& call) {
  const ReferenceTensor &x = call.input(), &factor = call.input(1);
  const std::size_t plane = factor.shape == x.shape ? 1 : plane_size(x.shape);
  return elementwise(x.shape, call.threads(),
                     [&](std::size_t i) { return x.values[i] * factor.values[i / plane]; });
}

template <>
Values deviation(const Multiply&, const Call& call, const ReferenceTensor& y) {
  return each(y.values.size(), call.threads(),
              [&](std::size_t i) { return kUnitRoundoff * std::abs(y.values[i]); });
}

template <>
Gradients vjp(const Multiply&, const Call& call, const ReferenceTensor& gradient) {
  const ReferenceTensor &x = call.input(), &factor = call.input(1);
  const std::size_t plane = factor.shape == x.shape ? 1 : plane_size(x.shape);
  ReferenceTensor dx = zeros(x.shape), dfactor = zeros(factor.shape);
  for (std::size_t i = 0; i < x.values.size(); ++i) {
    dx.values[i] = gradient.values[i] * factor.values[i / plane];
    dfactor.values[i / plane] += gradient.values[i] * x.values[i];
  }
  return {{std::move(dx), std::move(dfactor)}, {}};
}

}  // namespace mobileone::reference
