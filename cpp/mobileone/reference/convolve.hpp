// A convolution of float64 values: what several operators consist of.
#pragma once

#include "mobileone/graph/op.hpp"
#include "mobileone/reference/arrays.hpp"

namespace mobileone::reference {

// `bias` may be empty; `shape` is the result's. Terms are added in ascending order.
ReferenceTensor convolve(const ReferenceTensor& x, const Conv2d& op, const Values& weight,
                         const Values& bias, const Shape& shape, int threads);

}  // namespace mobileone::reference
