#include <algorithm>
#include <limits>

#include "mobileone/reference/operator.hpp"

namespace mobileone::reference {

template <>
ReferenceTensor evaluate(const MaxPool& op, const Call& call) {
  const ReferenceTensor& x = call.input();
  const std::int64_t height = x.shape[2], width = x.shape[3];
  const std::int64_t out_height = call.shape()[2], out_width = call.shape()[3];
  return elementwise(call.shape(), call.threads(), [&](std::size_t i) {
    const auto at = static_cast<std::int64_t>(i);
    const double* plane = x.values.data() + at / (out_height * out_width) * height * width;
    const std::int64_t top = at / out_width % out_height * op.stride[0] - op.padding[0];
    const std::int64_t left = at % out_width * op.stride[1] - op.padding[1];
    double largest = -std::numeric_limits<double>::infinity();
    for (std::int64_t row = std::max<std::int64_t>(top, 0);
         row < std::min(top + op.kernel[0], height); ++row) {
      for (std::int64_t column = std::max<std::int64_t>(left, 0);
           column < std::min(left + op.kernel[1], width); ++column) {
        const double value = plane[row * width + column];
        if (!(value <= largest)) largest = value;  // NaN wins: nothing is larger than it
        if (std::isnan(largest)) return largest;
      }
    }
    return largest;
  });
}

// One of the inputs, as it is.
template <>
Values deviation(const MaxPool&, const Call&, const ReferenceTensor&) {
  return {};
}

}  // namespace mobileone::reference
