#include "mobileone/reference/operator.hpp"

namespace mobileone::reference {

namespace {

struct Sizes {
  std::size_t rows, inner, columns;  // of one matrix of each

  Sizes(const Shape& a, const Shape& b)
      : rows(to_index(a[a.size() - 2])), inner(to_index(a.back())), columns(to_index(b.back())) {}
};

// product(terms of element i) summed.
template <typename Term>
Values summed(const Call& call, const Term& term) {
  const ReferenceTensor &a = call.input(), &b = call.input(1);
  const Sizes size(a.shape, b.shape);
  return each(to_index(element_count(call.shape())), call.threads(), [&](std::size_t i) {
    const std::size_t row = i / size.columns, matrix = row / size.rows, column = i % size.columns;
    double sum = 0.0;
    for (std::size_t k = 0; k < size.inner; ++k) {
      sum += term(a.values[row * size.inner + k],
                  b.values[(matrix * size.inner + k) * size.columns + column]);
    }
    return sum;
  });
}

}  // namespace

template <>
ReferenceTensor evaluate(const MatMul&, const Call& call) {
  return {call.shape(), summed(call, [](double x, double y) { return x * y; })};
}

template <>
Values deviation(const MatMul&, const Call& call, const ReferenceTensor& y) {
  const ReferenceTensor squares{call.shape(),
                                summed(call, [](double a, double b) { return (a * b) * (a * b); })};
  const auto terms = static_cast<double>(call.input().shape.back());
  return products_deviation(terms, y, squares, call.threads());
}

template <>
Gradients vjp(const MatMul&, const Call& call, const ReferenceTensor& gradient) {
  const ReferenceTensor &a = call.input(), &b = call.input(1);
  const Sizes size(a.shape, b.shape);
  ReferenceTensor da = zeros(a.shape), db = zeros(b.shape);
  for (std::size_t i = 0; i < gradient.values.size(); ++i) {
    const std::size_t row = i / size.columns, matrix = row / size.rows, column = i % size.columns;
    for (std::size_t k = 0; k < size.inner; ++k) {
      const std::size_t left = row * size.inner + k;
      const std::size_t right = (matrix * size.inner + k) * size.columns + column;
      da.values[left] += gradient.values[i] * b.values[right];
      db.values[right] += gradient.values[i] * a.values[left];
    }
  }
  return {{std::move(da), std::move(db)}, {}};
}

}  // namespace mobileone::reference
