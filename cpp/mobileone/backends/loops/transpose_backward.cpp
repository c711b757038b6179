#include "mobileone/backends/loops/copy_backward.hpp"

namespace mobileone::loops {

template <>
void emit_backward(const Transpose& transpose, const LoweredOp& op, PlanBuilder& builder) {
  const auto copy = [&](const Value& dx, const Value& dy, ValueId from) -> StridedCopy {
    const Shape to = permuted(strides_of(dx), transpose.perm);
    return {Nest<2>(dy.shape, {to, strides_of(dy)}), 0, 0, from};
  };
  add_gradient_copy(op, builder, copy);
}

}  // namespace mobileone::loops
