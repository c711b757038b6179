#include "mobileone/reference/operator.hpp"
#include "mobileone/reference/places.hpp"

namespace mobileone::reference {

namespace {

// visit(place in x) of every element under the window of the result's element i; returns the
// divisor.
template <typename Visit>
double for_each_under(const AvgPool& op, const Shape& x, const Shape& result, std::size_t i,
                      const Visit& visit) {
  std::vector<std::int64_t> at = indices_of(result, i);
  const PoolWindow rows(op, 0, at[2], x[2]), columns(op, 1, at[3], x[3]);
  for (at[2] = rows.first; at[2] < rows.last; ++at[2]) {
    for (at[3] = columns.first; at[3] < columns.last; ++at[3]) visit(place_of(x, at));
  }
  return static_cast<double>(op.divisor(rows, 0) * op.divisor(columns, 1));
}

}  // namespace

template <>
ReferenceTensor evaluate(const AvgPool& op, const Call& call) {
  const ReferenceTensor& x = call.input();
  return elementwise(call.shape(), call.threads(), [&](std::size_t i) {
    double sum = 0.0;
    const double divisor = for_each_under(op, x.shape, call.shape(), i,
                                          [&](std::size_t place) { sum += x.values[place]; });
    return sum / divisor;
  });
}

template <>
Values deviation(const AvgPool& op, const Call& call, const ReferenceTensor& y) {
  const ReferenceTensor& x = call.input();
  return each(y.values.size(), call.threads(), [&](std::size_t i) {
    double squares = 0.0, terms = 0.0;
    const double divisor = for_each_under(op, x.shape, call.shape(), i, [&](std::size_t place) {
      squares += x.values[place] * x.values[place];
      terms += 1.0;
    });
    const double sum = sum_deviation(terms, y.values[i] * divisor, squares, false);
    return std::hypot(sum / divisor, kUnitRoundoff * y.values[i]);
  });
}

template <>
Gradients vjp(const AvgPool& op, const Call& call, const ReferenceTensor& gradient) {
  ReferenceTensor dx = zeros(call.input().shape);
  for (std::size_t i = 0; i < gradient.values.size(); ++i) {
    const auto nothing = [](std::size_t) {};
    const double divisor = for_each_under(op, dx.shape, call.shape(), i, nothing);
    for_each_under(op, dx.shape, call.shape(), i,
                   [&](std::size_t place) { dx.values[place] += gradient.values[i] / divisor; });
  }
  return {{std::move(dx)}, {}};
}

}  // namespace mobileone::reference
