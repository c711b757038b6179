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

}  // namespace mobileone::reference
