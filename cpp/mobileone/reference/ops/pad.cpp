#include "mobileone/reference/operator.hpp"
#include "mobileone/reference/places.hpp"

namespace mobileone::reference {

namespace {

// visit(place in x, place in the result) of every element of x.
template <typename Visit>
void for_each_inside(const Pad& op, const Shape& x, const Shape& result, const Visit& visit) {
  for (std::size_t i = 0; i < to_index(element_count(x)); ++i) {
    std::vector<std::int64_t> at = indices_of(x, i);
    for (std::size_t axis = 0; axis < at.size(); ++axis) at[axis] += op.before[axis];
    visit(i, place_of(result, at));
  }
}

}  // namespace

template <>
ReferenceTensor evaluate(const Pad& op, const Call& call) {
  const ReferenceTensor& x = call.input();
  ReferenceTensor y{call.shape(), Values(to_index(element_count(call.shape())), op.value)};
  for_each_inside(op, x.shape, y.shape,
                  [&](std::size_t from, std::size_t to) { y.values[to] = x.values[from]; });
  return y;
}

template <>
Values deviation(const Pad&, const Call&, const ReferenceTensor&) {
  return {};
}

template <>
Gradients vjp(const Pad& op, const Call& call, const ReferenceTensor& gradient) {
  ReferenceTensor dx = zeros(call.input().shape);
  for_each_inside(op, dx.shape, gradient.shape,
                  [&](std::size_t from, std::size_t to) { dx.values[from] = gradient.values[to]; });
  return {{std::move(dx)}, {}};
}

}  // namespace mobileone::reference
