#include "mobileone/backends/loops/copy_backward.hpp"
#include "mobileone/backends/loops/windows.hpp"

namespace mobileone::loops {

template <>
void emit_backward(const Pad& pad, const LoweredOp& op, PlanBuilder& builder) {
  const auto copy = [&](const Value& dx, const Value& dy, ValueId from) {
    return window_of(pad, dx.shape).out_of(dy, dx, from);
  };
  add_gradient_copy(op, builder, copy);
}

}  // namespace mobileone::loops
