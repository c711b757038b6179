#include "mobileone/backends/loops/copy_backward.hpp"

namespace mobileone::loops {

template <>
void emit_backward(const Reshape&, const LoweredOp& op, PlanBuilder& builder) {
  const auto copy = [](const Value&, const Value& dy, ValueId from) {
    return whole_copy(element_count(dy.shape), from);
  };
  add_gradient_copy(op, builder, copy);
}

}  // namespace mobileone::loops
