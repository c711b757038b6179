#include "mobileone/reference/operator.hpp"
#include "mobileone/reference/places.hpp"

namespace mobileone::reference {

namespace {

// Where in x the element of the result with these indices is.
auto source(const Transpose& op, const Shape& x) {
  return [&op, &x](const std::vector<std::int64_t>& at) {
    std::vector<std::int64_t> from(at.size());
    for (std::size_t i = 0; i < at.size(); ++i) from[to_index(op.perm[i])] = at[i];
    return place_of(x, from);
  };
}

}  // namespace

template <>
ReferenceTensor evaluate(const Transpose& op, const Call& call) {
  return gathered(call.input(), call.shape(), call.threads(), source(op, call.input().shape));
}

template <>
Values deviation(const Transpose&, const Call&, const ReferenceTensor&) {
  return {};
}

template <>
Gradients vjp(const Transpose& op, const Call& call, const ReferenceTensor& gradient) {
  const Shape& x = call.input().shape;
  return {{scattered(gradient, x, source(op, x))}, {}};
}

}  // namespace mobileone::reference
