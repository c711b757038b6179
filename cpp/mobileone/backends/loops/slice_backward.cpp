#include "mobileone/backends/loops/copy_backward.hpp"
#include "mobileone/backends/loops/windows.hpp"

namespace mobileone::loops {

template <>
void emit_backward(const Slice& slice, const LoweredOp& op, PlanBuilder& builder) {
  const auto copy = [&](const Value& dx, const Value& dy, ValueId from) {
    return window_of(slice, dy.shape).into(dx, dy, from);
  };
  add_gradient_copy(op, builder, copy, 0.f);
}

}  // namespace mobileone::loops
