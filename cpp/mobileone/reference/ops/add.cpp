#include "mobileone/reference/operator.hpp"

namespace mobileone::reference {

template <>
ReferenceTensor evaluate(const Add&, const Call& call) {
  return elementwise(call.shape(), call.threads(), [&](std::size_t i) {
    double sum = call.input().values[i];
    for (std::size_t k = 1; k < call.inputs.size(); ++k) sum += call.input(k).values[i];
    return sum;
  });
}

template <>
Values deviation(const Add&, const Call& call, const ReferenceTensor& y) {
  const auto terms = static_cast<double>(call.inputs.size());
  return each(y.values.size(), call.threads(), [&](std::size_t i) {
    double squares = 0.0;
    for (const ReferenceTensor* x : call.inputs) squares += x->values[i] * x->values[i];
    return sum_deviation(terms, y.values[i], squares, false);
  });
}

template <>
Gradients vjp(const Add&, const Call& call, const ReferenceTensor& gradient) {
  return {std::vector<ReferenceTensor>(call.inputs.size(), gradient), {}};
}

}  // namespace mobileone::reference
