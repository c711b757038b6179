// Places of elements in row-major tensors of any number of dimensions.
#pragma once

#include "mobileone/reference/arrays.hpp"

namespace mobileone::reference {

// The index of element i along every axis.
inline std::vector<std::int64_t> indices_of(const Shape& shape, std::size_t i) {
  std::vector<std::int64_t> indices(shape.size());
  auto left = static_cast<std::int64_t>(i);
  for (std::size_t axis = shape.size(); axis-- > 0;) {
    indices[axis] = left % shape[axis];
    left /= shape[axis];
  }
  return indices;
}

// The place of the element with these indices, the last ones if there are more than axes; along an
// axis of extent 1 any index means its only element.
inline std::size_t place_of(const Shape& shape, const std::vector<std::int64_t>& indices) {
  const std::size_t lead = indices.size() - shape.size();
  std::int64_t place = 0;
  for (std::size_t axis = 0; axis < shape.size(); ++axis) {
    place = place * shape[axis] + (shape[axis] == 1 ? 0 : indices[axis + lead]);
  }
  return to_index(place);
}

// Of an operator whose result holds elements of its first input as they are: `source(indices)` is
// the place in x of the result's element with those indices.
template <typename Source>
ReferenceTensor gathered(const ReferenceTensor& x, const Shape& result, int threads,
                         const Source& source) {
  return elementwise(result, threads,
                     [&](std::size_t i) { return x.values[source(indices_of(result, i))]; });
}

// The gradient of that.
template <typename Source>
ReferenceTensor scattered(const ReferenceTensor& gradient, const Shape& x, const Source& source) {
  ReferenceTensor dx = zeros(x);
  for (std::size_t i = 0; i < gradient.values.size(); ++i) {
    dx.values[source(indices_of(gradient.shape, i))] += gradient.values[i];
  }
  return dx;
}

}  // namespace mobileone::reference
