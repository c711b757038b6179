#include <algorithm>
#include <limits>

#include "mobileone/reference/operator.hpp"

namespace mobileone::reference {

namespace {

// The rows along an axis: `count` of them, elements `stride` apart.
struct Rows {
  std::size_t extent, stride = 1, count;

  Rows(const Shape& shape, std::int64_t axis) : extent(to_index(shape[to_index(axis)])) {
    for (std::size_t i = to_index(axis) + 1; i < shape.size(); ++i) stride *= to_index(shape[i]);
    count = to_index(element_count(shape)) / extent;
  }
  std::size_t place(std::size_t row, std::size_t k) const {
    return (row / stride * extent + k) * stride + row % stride;
  }
};

// The exponentials of one row less its largest, and their sum.
double exponentials(const Rows& rows, std::size_t row, const Values& x, Values& y) {
  double largest = -std::numeric_limits<double>::infinity(), sum = 0.0;
  for (std::size_t k = 0; k < rows.extent; ++k) {
    largest = std::max(largest, x[rows.place(row, k)]);
  }
  for (std::size_t k = 0; k < rows.extent; ++k) {
    const std::size_t at = rows.place(row, k);
    y[at] = std::exp(x[at] - largest);
    sum += y[at];
  }
  return sum;
}

}  // namespace

// As in Attention: an exponential's relative error, 8 u and the difference's rounding, is one of
// its score, and the sum's error all elements of a row share.
template <>
ReferenceTensor evaluate(const Softmax& op, const Call& call) {
  ReferenceTensor y = call.input();
  const Rows rows(y.shape, op.axis);
  const Values& x = call.input().values;
  for (std::size_t row = 0; row < rows.count; ++row) {
    double sum = exponentials(rows, row, x, y.values), gain = 1.0;
    if (call.rounding) {
      const Signs signs = call.rounding->signs(call.name() + ".scores");
      double squares = 0.0, moved = 0.0;
      for (std::size_t k = 0; k < rows.extent; ++k) {
        double& value = y.values[rows.place(row, k)];
        squares += value * value;
        const double own = value > 0.0 ? std::hypot(std::log(value), kExpError) : 0.0;
        value *= 1.0 + signs(rows.place(row, k)) * kUnitRoundoff * own;
        moved += value;
      }
      const double total =
          sum_deviation(static_cast<double>(rows.extent), sum, squares, false) / sum;
      gain += call.rounding->signs(call.name() + ".gains")(row) * std::hypot(total, kUnitRoundoff);
      sum = moved;
    }
    for (std::size_t k = 0; k < rows.extent; ++k) y.values[rows.place(row, k)] *= gain / sum;
  }
  return y;
}

template <>
Values deviation(const Softmax&, const Call& call, const ReferenceTensor& y) {
  return each(y.values.size(), call.threads(),
              [&](std::size_t i) { return kUnitRoundoff * y.values[i]; });
}

// dx = y (dy - sum of y dy).
template <>
Gradients vjp(const Softmax& op, const Call& call, const ReferenceTensor& gradient) {
  const Call exact{call.evaluator, call.id, call.inputs};
  ReferenceTensor dx = evaluate(op, exact);
  const Rows rows(dx.shape, op.axis);
  for (std::size_t row = 0; row < rows.count; ++row) {
    double mean = 0.0;
    for (std::size_t k = 0; k < rows.extent; ++k) {
      mean += dx.values[rows.place(row, k)] * gradient.values[rows.place(row, k)];
    }
    for (std::size_t k = 0; k < rows.extent; ++k) {
      const std::size_t at = rows.place(row, k);
      dx.values[at] *= gradient.values[at] - mean;
    }
  }
  return {{std::move(dx)}, {}};
}

}  // namespace mobileone::reference
