#include "mobileone/reference/operator.hpp"
#include "mobileone/reference/places.hpp"

namespace mobileone::reference {

namespace {

ReferenceTensor sums(const ReferenceTensor& x, const Shape& result) {
  return scattered(x, result,
                   [&](const std::vector<std::int64_t>& at) { return place_of(result, at); });
}

double terms(const Call& call) {
  return static_cast<double>(element_count(call.input().shape)) /
         static_cast<double>(element_count(call.shape()));
}

}  // namespace

template <>
ReferenceTensor evaluate(const Reduce& op, const Call& call) {
  const bool norm = op.kind == ReductionKind::norm;
  ReferenceTensor y =
      sums(norm ? squared(call.input(), call.threads()) : call.input(), call.shape());
  for (double& value : y.values) {
    if (norm) value = std::sqrt(value);
    if (op.kind == ReductionKind::mean) value /= terms(call);
  }
  return y;
}

// A norm's sum of products errs by (3), its root by half of that, relatively, and by its rounding.
template <>
Values deviation(const Reduce& op, const Call& call, const ReferenceTensor& y) {
  const double count = terms(call);
  const bool norm = op.kind == ReductionKind::norm;
  const ReferenceTensor squares = sums(squared(call.input(), call.threads()), call.shape());
  ReferenceTensor fourth{call.shape(), {}};
  if (norm) {
    fourth = sums(squared(squared(call.input(), call.threads()), call.threads()), call.shape());
  }
  return each(y.values.size(), call.threads(), [&](std::size_t i) {
    const double square = squares.values[i];
    if (norm) {
      const double sum = sum_deviation(count, square, fourth.values[i], true);
      return y.values[i] > 0.0 ? std::hypot(sum / (2.0 * y.values[i]), kUnitRoundoff * y.values[i])
                               : 0.0;
    }
    const double scale = op.kind == ReductionKind::mean ? count : 1.0;
    const double sum = sum_deviation(count, y.values[i] * scale, square, false) / scale;
    return op.kind == ReductionKind::mean ? std::hypot(sum, kUnitRoundoff * y.values[i]) : sum;
  });
}

// At a norm of 0 the gradient is 0, as PyTorch's.
template <>
Gradients vjp(const Reduce& op, const Call& call, const ReferenceTensor& gradient) {
  const ReferenceTensor& x = call.input();
  const Shape& result = call.shape();
  const bool norm = op.kind == ReductionKind::norm;
  const ReferenceTensor y = norm ? evaluate(op, call) : ReferenceTensor{};
  return {{elementwise(x.shape, call.threads(),
                       [&](std::size_t i) {
                         const std::size_t at = place_of(result, indices_of(x.shape, i));
                         const double dy = gradient.values[at];
                         if (norm)
                           return y.values[at] == 0.0 ? 0.0 : dy * x.values[i] / y.values[at];
                         return op.kind == ReductionKind::mean ? dy / terms(call) : dy;
                       })},
          {}};
}

}  // namespace mobileone::reference
