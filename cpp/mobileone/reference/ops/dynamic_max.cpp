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

// One element of the result: its largest piece, the first of several, and that piece's sum.
struct Piece {
  std::size_t index = 0;
  double sum = 0.0, squares = 0.0;  // of its terms; of their squares
};

// Where the elements of the result find what they are made of.
struct Places {
  std::size_t channels, plane, width, pieces, terms, step, coefficients;
  bool offsets, shared;

  Places(const DynamicMax& op, const Shape& x)
      : channels(to_index(op.channels)),
        plane(plane_size(x)),
        width(op.shared ? 1 : channels),
        pieces(to_index(op.pieces)),
        terms(to_index(op.terms)),
        step(channels / to_index(op.groups)),
        coefficients(to_index(op.coefficients())),
        offsets(op.offsets),
        shared(op.shared) {}

  // In x, of term j of element i.
  std::size_t input(std::size_t i, std::size_t j) const {
    const std::size_t image = i / plane / channels, c = i / plane % channels;
    return (image * channels + (c + j * step) % channels) * plane + i % plane;
  }
  // Of coefficient vector v of element i.
  std::size_t coefficient(std::size_t i, std::size_t v) const {
    const std::size_t image = i / plane / channels, c = i / plane % channels;
    return image * coefficients + v * width + (shared ? 0 : c);
  }

  Piece largest(const Values& x, const Values& coefficient_values, std::size_t i) const {
    Piece largest;
    for (std::size_t k = 0; k < pieces; ++k) {
      double sum = offsets ? coefficient_values[coefficient(i, pieces * terms + k)] : 0.0;
      double squares = sum * sum;
      for (std::size_t j = 0; j < terms; ++j) {
        const double term = coefficient_values[coefficient(i, k * terms + j)] * x[input(i, j)];
        sum += term;
        squares += term * term;
      }
      // NaN wins: nothing is larger than it.
      if (k == 0 || !(sum <= largest.sum)) largest = {k, sum, squares};
    }
    return largest;
  }
};

}  // namespace

template <>
ReferenceTensor evaluate(const DynamicMax& op, const Call& call) {
  const Values coefficients = call.rounded("coefficients", coefficients_of(op, call.input(1)));
  const Places places(op, call.shape());
  return elementwise(call.shape(), call.threads(), [&](std::size_t i) {
    return places.largest(call.input().values, coefficients, i).sum;
  });
}

// The coefficients' own roundings, one each, are shared by a channel's pixels.
template <>
Values deviation(const DynamicMax& op, const Call& call, const ReferenceTensor& y) {
  const Values coefficients = coefficients_of(op, call.input(1));
  const Places places(op, call.shape());
  const ReferenceTensor squares = elementwise(call.shape(), call.threads(), [&](std::size_t i) {
    return places.largest(call.input().values, coefficients, i).squares;
  });
  const auto terms = static_cast<double>(op.terms + (op.offsets ? 1 : 0));
  return products_deviation(terms, y, squares, call.threads());
}

template <>
Gradients vjp(const DynamicMax& op, const Call& call, const ReferenceTensor& gradient) {
  const ReferenceTensor& x = call.input();
  const Values coefficients = coefficients_of(op, call.input(1));
  const Places places(op, call.shape());
  ReferenceTensor dx = zeros(x.shape), ds = zeros(call.input(1).shape);
  const auto factor = [&](std::size_t v) { return op.factor(static_cast<std::int64_t>(v)); };
  for (std::size_t i = 0; i < gradient.values.size(); ++i) {
    const std::size_t k = places.largest(x.values, coefficients, i).index;
    const double dy = gradient.values[i];
    for (std::size_t j = 0; j < places.terms; ++j) {
      const std::size_t v = k * places.terms + j;
      const std::size_t from = places.input(i, j), by = places.coefficient(i, v);
      dx.values[from] += dy * coefficients[by];
      ds.values[by] += dy * x.values[from] * factor(v);
    }
    if (!op.offsets) continue;
    const std::size_t v = places.pieces * places.terms + k;
    ds.values[places.coefficient(i, v)] += dy * factor(v);
  }
  return {{std::move(dx), std::move(ds)}, {}};
}

}  // namespace mobileone::reference
