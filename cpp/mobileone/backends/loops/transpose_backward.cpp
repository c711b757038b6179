#include "mobileone/backends/loops/emit_backward.hpp"
#include "mobileone/backends/loops/strided.hpp"

namespace mobileone::loops {

template <>
void emit_backward(const Transpose& transpose, const LoweredOp& op, PlanBuilder& builder) {
  const NodeId source = builder.node(op.node).inputs[0];
  if (!builder.wants_gradient(source)) return;
  const ValueId dy = builder.gradient_of(op, Layout::nchw());
  const ValueId dx = builder.new_gradient(source, Layout::nchw());
  const Shape& shape = builder.shape(op.result);
  const Shape strides = strides_of(builder.value(dx));
  Shape to;
  for (std::int64_t axis : transpose.perm) to.push_back(strides[static_cast<std::size_t>(axis)]);
  const StridedCopy copy{Nest<2>(shape, {to, strides_of(builder.value(dy))}), 0, 0, dy};
  add_backward_loop(
      op, builder, {dy}, {dx},
      StridedCopies{{copy}, dx, element_count(shape), std::nullopt, pool_of(builder)});
  builder.add_gradient(source, dx);
}

}  // namespace mobileone::loops
