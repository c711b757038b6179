#include <algorithm>

#include "mobileone/reference/operator.hpp"

namespace mobileone::reference {

namespace {

// The place in x of element i of the result: the first of the largest values under the kernel.
std::size_t largest_under(const MaxPool& op, const ReferenceTensor& x, const Shape& result,
                          std::size_t i) {
  const std::int64_t height = x.shape[2], width = x.shape[3];
  const auto at = static_cast<std::int64_t>(i);
  const std::int64_t plane = at / (result[2] * result[3]) * height * width;
  const std::int64_t top = at / result[3] % result[2] * op.stride[0] - op.padding[0];
  const std::int64_t left = at % result[3] * op.stride[1] - op.padding[1];
  const std::int64_t first_row = std::max<std::int64_t>(top, 0);
  const std::int64_t first_column = std::max<std::int64_t>(left, 0);
  std::size_t largest = to_index(plane + first_row * width + first_column);
  for (std::int64_t row = first_row; row < std::min(top + op.kernel[0], height); ++row) {
    for (std::int64_t column = first_column; column < std::min(left + op.kernel[1], width);
         ++column) {
      const std::size_t place = to_index(plane + row * width + column);
      if (std::isnan(x.values[largest])) return largest;
      // NaN wins: nothing is larger than it.
      if (!(x.values[place] <= x.values[largest])) largest = place;
    }
  }
  return largest;
}

}  // namespace

template <>
ReferenceTensor evaluate(const MaxPool& op, const Call& call) {
  const ReferenceTensor& x = call.input();
  return elementwise(call.shape(), call.threads(), [&](std::size_t i) {
    return x.values[largest_under(op, x, call.shape(), i)];
  });
}

template <>
Gradients vjp(const MaxPool& op, const Call& call, const ReferenceTensor& gradient) {
  const ReferenceTensor& x = call.input();
  ReferenceTensor dx = zeros(x.shape);
  for (std::size_t i = 0; i < gradient.values.size(); ++i) {
    dx.values[largest_under(op, x, call.shape(), i)] += gradient.values[i];
  }
  return {{std::move(dx)}, {}};
}

// One of the inputs, as it is.
template <>
Values deviation(const MaxPool&, const Call&, const ReferenceTensor&) {
  return {};
}

}  // namespace mobileone::reference
