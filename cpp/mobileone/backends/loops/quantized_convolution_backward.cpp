#include "mobileone/backends/loops/emit_backward.hpp"

namespace mobileone::loops {

// Steps of integers have no slope: nothing is added to the gradient of its input.
template <>
void emit_backward(const QuantizedConvolution&, const LoweredOp&, PlanBuilder&) {}

}  // namespace mobileone::loops
