#include "mobileone/reference/operator.hpp"

namespace mobileone::reference {

namespace {

// How many runs of neighbouring elements each input is made of: the extents before the axis.
std::int64_t runs_of(const Concat& op, const Shape& shape) {
  std::int64_t runs = 1;
  for (std::size_t axis = 0; axis < to_index(op.axis); ++axis) runs *= shape[axis];
  return runs;
}

}  // namespace

template <>
ReferenceTensor evaluate(const Concat& op, const Call& call) {
  const std::int64_t runs = runs_of(op, call.shape());
  ReferenceTensor y{call.shape(), {}};
  y.values.reserve(to_index(element_count(y.shape)));
  for (std::int64_t run = 0; run < runs; ++run) {
    for (const ReferenceTensor* x : call.inputs) {
      const auto size = static_cast<std::ptrdiff_t>(x->values.size()) / runs;
      const auto first = x->values.begin() + run * size;
      y.values.insert(y.values.end(), first, first + size);
    }
  }
  return y;
}

template <>
Values deviation(const Concat&, const Call&, const ReferenceTensor&) {
  return {};
}

template <>
Gradients vjp(const Concat& op, const Call& call, const ReferenceTensor& gradient) {
  const std::int64_t runs = runs_of(op, call.shape());
  Gradients result;
  for (const ReferenceTensor* x : call.inputs) result.inputs.push_back({x->shape, {}});
  auto from = gradient.values.begin();
  for (std::int64_t run = 0; run < runs; ++run) {
    for (ReferenceTensor& dx : result.inputs) {
      const auto size = static_cast<std::ptrdiff_t>(element_count(dx.shape)) / runs;
      dx.values.insert(dx.values.end(), from, from + size);
      from += size;
    }
  }
  return result;
}

}  // namespace mobileone::reference
