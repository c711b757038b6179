#include "mobileone/backends/loops/emit_backward.hpp"

namespace mobileone::loops {

// Its steps have no slope: nothing is added to the gradient of its input.
template <>
void emit_backward(const Quantize&, const LoweredOp&, PlanBuilder&) {}

}  // namespace mobileone::loops
