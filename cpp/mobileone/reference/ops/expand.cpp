#include "mobileone/reference/operator.hpp"

namespace mobileone::reference {

template <>
ReferenceTensor evaluate(const Expand&, const Call& call) {
  const Values& x = call.input().values;
  return elementwise(call.shape(), call.threads(), [&](std::size_t i) { return x[i % x.size()]; });
}

template <>
Values deviation(const Expand&, const Call&, const ReferenceTensor&) {
  return {};
}

template <>
Gradients vjp(const Expand&, const Call& call, const ReferenceTensor& gradient) {
  ReferenceTensor dx = zeros(call.input().shape);
  for (std::size_t i = 0; i < gradient.values.size(); ++i) {
    dx.values[i % dx.values.size()] += gradient.values[i];
  }
  return {{std::move(dx), zeros(call.input(1).shape)}, {}};
}

}  // namespace mobileone::reference
