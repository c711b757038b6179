#include "mobileone/reference/operator.hpp"

namespace mobileone::reference {

namespace {

ReferenceTensor global_average(const ReferenceTensor& x, int threads) {
  const std::size_t plane = plane_size(x.shape);
  return elementwise({x.shape[0], x.shape[1], 1, 1}, threads, [&](std::size_t i) {
    double sum = 0.0;
    for (std::size_t p = 0; p < plane; ++p) sum += x.values[i * plane + p];
    return sum / static_cast<double>(plane);
  });
}

}  // namespace

template <>
ReferenceTensor evaluate(const GlobalAvgPool&, const Call& call) {
  return global_average(call.input(), call.threads());
}

template <>
Values deviation(const GlobalAvgPool&, const Call& call, const ReferenceTensor& y) {
  const ReferenceTensor& x = call.input();
  const auto terms = static_cast<double>(plane_size(x.shape));
  const ReferenceTensor squares = global_average(squared(x, call.threads()), 1);
  return each(y.values.size(), call.threads(), [&](std::size_t i) {
    const double sum = sum_deviation(terms, y.values[i] * terms, squares.values[i] * terms, false);
    return std::hypot(sum / terms, kUnitRoundoff * y.values[i]);
  });
}

template <>
Gradients vjp(const GlobalAvgPool&, const Call& call, const ReferenceTensor& gradient) {
  const Shape& shape = call.input().shape;
  const std::size_t plane = plane_size(shape);
  return {{elementwise(shape, call.threads(),
                       [&](std::size_t i) {
                         return gradient.values[i / plane] / static_cast<double>(plane);
                       })},
          {}};
}

}  // namespace mobileone::reference
