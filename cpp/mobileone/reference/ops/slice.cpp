#include "mobileone/reference/operator.hpp"
#include "mobileone/reference/places.hpp"

namespace mobileone::reference {

namespace {

// Where in x the element of the result with these indices is.
auto source(const Slice& op, const Shape& x) {
  return [&op, &x](std::vector<std::int64_t> at) {
    at[to_index(op.axis)] = op.start + at[to_index(op.axis)] * op.step;
    return place_of(x, at);
  };
}

}  // namespace

template <>
ReferenceTensor evaluate(const Slice& op, const Call& call) {
  return gathered(call.input(), call.shape(), call.threads(), source(op, call.input().shape));
}

template <>
Values deviation(const Slice&, const Call&, const ReferenceTensor&) {
  return {};
}

template <>
Gradients vjp(const Slice& op, const Call& call, const ReferenceTensor& gradient) {
  const Shape& x = call.input().shape;
  return {{scattered(gradient, x, source(op, x))}, {}};
}

}  // namespace mobileone::reference
