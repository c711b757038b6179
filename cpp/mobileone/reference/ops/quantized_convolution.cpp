#include <algorithm>

#include "mobileone/reference/convolve.hpp"
#include "mobileone/reference/operator.hpp"

namespace mobileone::reference {

// Sums of integers are exact in float64. What is rounded to float32 is what the operator says.
template <>
ReferenceTensor evaluate(const QuantizedConvolution& op, const Call& call) {
  const Values& x = call.input().values;
  const auto offset = static_cast<double>(op.input_zero_point);
  const ReferenceTensor centred =
      elementwise(call.input().shape, call.threads(), [&](std::size_t i) { return x[i] - offset; });
  ReferenceTensor y = convolve(centred, op.convolution(), call.exact_weight("weight"),
                               call.exact_weight("bias"), call.shape(), call.threads());
  const Values multiplier = call.exact_weight("multiplier");
  const std::size_t plane = plane_size(y.shape);
  const auto zero_point = static_cast<double>(op.output_zero_point);
  const auto least = static_cast<double>(op.least());
  for (std::size_t i = 0; i < y.values.size(); ++i) {
    const auto factor = static_cast<float>(multiplier[i / plane % multiplier.size()]);
    const auto scaled = static_cast<double>(static_cast<float>(y.values[i]) * factor);
    y.values[i] = op.float_result ? scaled
                                  : std::clamp(std::nearbyint(scaled) + zero_point, least,
                                               static_cast<double>(kLargestByte));
  }
  return y;
}

// Engines compute the same bits.
template <>
Values deviation(const QuantizedConvolution&, const Call&, const ReferenceTensor&) {
  return {};
}

// Of steps of integers: 0.
template <>
Gradients vjp(const QuantizedConvolution&, const Call& call, const ReferenceTensor&) {
  return {{zeros(call.input().shape)}, {}};
}

}  // namespace mobileone::reference
