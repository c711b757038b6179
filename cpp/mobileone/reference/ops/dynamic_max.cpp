#include "mobileone/reference/operator.hpp"

namespace mobileone::reference {

namespace {

// What the values s of the second input stand for, in the same order.
Values coefficients_of(const DynamicMax& op, const ReferenceTensor& s) {
  Values values = s.values;
  const std::size_t count = to_index(op.coefficients()), width = count / to_index(op.vectors());
  for (std::size_t i = 0; i < values.size(); ++i) {
    const auto vector = static_cast<std::int64_t>(i % count / width);
    values[i] = op.factor(vector) * values[i] + op.constant(vector);
  }
  return values;
}

// `squares`: the sum of the squared terms of the largest piece instead of the sum of its terms.
ReferenceTensor dynamic_max(const ReferenceTensor& x, const DynamicMax& op,
                            const Values& coefficients, bool squares, int threads) {
  const std::size_t channels = to_index(op.channels), plane = plane_size(x.shape);
  const std::size_t width = op.shared ? 1 : channels;
  const std::size_t pieces = to_index(op.pieces), terms = to_index(op.terms);
  const std::size_t step = channels / to_index(op.groups);
  return elementwise(x.shape, threads, [&](std::size_t i) {
    const std::size_t image = i / plane / channels, c = i / plane % channels, pixel = i % plane;
    const double* own =
        coefficients.data() + image * to_index(op.coefficients()) + (op.shared ? 0 : c);
    double largest = 0.0, result = 0.0;
    for (std::size_t k = 0; k < pieces; ++k) {
      double sum = op.offsets ? own[(pieces * terms + k) * width] : 0.0;
      double square = sum * sum;
      for (std::size_t j = 0; j < terms; ++j) {
        const std::size_t from = (image * channels + (c + j * step) % channels) * plane + pixel;
        const double term = own[(k * terms + j) * width] * x.values[from];
        sum += term;
        square += term * term;
      }
      // NaN wins: nothing is larger than it.
      if (k == 0 || !(sum <= largest)) {
        largest = sum;
        result = squares ? square : sum;
      }
    }
    return result;
  });
}

}  // namespace

template <>
ReferenceTensor evaluate(const DynamicMax& op, const Call& call) {
  const Values coefficients = call.rounded("coefficients", coefficients_of(op, call.input(1)));
  return dynamic_max(call.input(), op, coefficients, false, call.threads());
}

// The coefficients' own roundings, one each, are shared by a channel's pixels.
template <>
Values deviation(const DynamicMax& op, const Call& call, const ReferenceTensor& y) {
  const ReferenceTensor squares =
      dynamic_max(call.input(), op, coefficients_of(op, call.input(1)), true, call.threads());
  const auto terms = static_cast<double>(op.terms + (op.offsets ? 1 : 0));
  return products_deviation(terms, y, squares, call.threads());
}

}  // namespace mobileone::reference
