#include "mobileone/reference/operator.hpp"
#include "mobileone/reference/patches.hpp"

namespace mobileone::reference {

template <>
ReferenceTensor evaluate(const Fold& op, const Call& call) {
  const ReferenceTensor& x = call.input();
  ReferenceTensor y{call.shape(), Values(x.values.size())};
  for_each_pixel(y.shape, op.patch,
                 [&](std::size_t pixel, std::size_t token) { y.values[pixel] = x.values[token]; });
  return y;
}

template <>
Values deviation(const Fold&, const Call&, const ReferenceTensor&) {
  return {};
}

template <>
Gradients vjp(const Fold& op, const Call& call, const ReferenceTensor& gradient) {
  ReferenceTensor dx = zeros(call.input().shape);
  for_each_pixel(gradient.shape, op.patch, [&](std::size_t pixel, std::size_t token) {
    dx.values[token] = gradient.values[pixel];
  });
  return {{std::move(dx), zeros(call.input(1).shape)}, {}};
}

}  // namespace mobileone::reference
