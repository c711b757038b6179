#include <algorithm>

#include "mobileone/reference/operator.hpp"

namespace mobileone::reference {

template <>
ReferenceTensor evaluate(const Quantize& op, const Call& call) {
  const Values& x = call.input().values;
  const auto scale = static_cast<float>(op.scale);
  const auto zero_point = static_cast<double>(op.zero_point);
  return elementwise(call.shape(), call.threads(), [&](std::size_t i) {
    if (std::isnan(x[i])) return zero_point;
    const float quotient = static_cast<float>(x[i]) / scale;
    return std::clamp(std::nearbyint(static_cast<double>(quotient)) + zero_point, 0.0,
                      static_cast<double>(kLargestByte));
  });
}

template <>
Values deviation(const Quantize&, const Call&, const ReferenceTensor&) {
  return {};
}

// Of steps: 0 but at their edges.
template <>
Gradients vjp(const Quantize&, const Call& call, const ReferenceTensor&) {
  return {{zeros(call.input().shape)}, {}};
}

}  // namespace mobileone::reference
