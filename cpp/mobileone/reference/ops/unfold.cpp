#include "mobileone/reference/operator.hpp"
#include "mobileone/reference/patches.hpp"

namespace mobileone::reference {

template <>
ReferenceTensor evaluate(const Unfold& op, const Call& call) {
  const ReferenceTensor& x = call.input();
  ReferenceTensor y{call.shape(), Values(x.values.size())};
  for_each_pixel(x.shape, op.patch,
                 [&](std::size_t pixel, std::size_t token) { y.values[token] = x.values[pixel]; });
  return y;
}

template <>
Values deviation(const Unfold&, const Call&, const ReferenceTensor&) {
  return {};
}

template <>
Gradients vjp(const Unfold& op, const Call& call, const ReferenceTensor& gradient) {
  ReferenceTensor dx = zeros(call.input().shape);
  for_each_pixel(dx.shape, op.patch, [&](std::size_t pixel, std::size_t token) {
    dx.values[pixel] = gradient.values[token];
  });
  return {{std::move(dx)}, {}};
}

}  // namespace mobileone::reference
