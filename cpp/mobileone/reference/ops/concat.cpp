#include "mobileone/reference/operator.hpp"

namespace mobileone::reference {

template <>
ReferenceTensor evaluate(const Concat&, const Call& call) {
  const std::int64_t images = call.shape()[0];
  ReferenceTensor y{call.shape(), {}};
  y.values.reserve(to_index(element_count(y.shape)));
  for (std::int64_t image = 0; image < images; ++image) {
    for (const ReferenceTensor* x : call.inputs) {
      const auto size = static_cast<std::ptrdiff_t>(x->values.size()) / images;
      const auto first = x->values.begin() + image * size;
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
Gradients vjp(const Concat&, const Call& call, const ReferenceTensor& gradient) {
  const std::int64_t images = call.shape()[0];
  Gradients result;
  for (const ReferenceTensor* x : call.inputs) result.inputs.push_back({x->shape, {}});
  auto from = gradient.values.begin();
  for (std::int64_t image = 0; image < images; ++image) {
    for (ReferenceTensor& dx : result.inputs) {
      const auto size = static_cast<std::ptrdiff_t>(element_count(dx.shape)) / images;
      dx.values.insert(dx.values.end(), from, from + size);
      from += size;
    }
  }
  return result;
}

}  // namespace mobileone::reference
