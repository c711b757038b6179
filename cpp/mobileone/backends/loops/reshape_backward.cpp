#include "mobileone/backends/loops/emit_backward.hpp"
#include "mobileone/backends/loops/strided.hpp"

namespace mobileone::loops {

template <>
void emit_backward(const Reshape&, const LoweredOp& op, PlanBuilder& builder) {
  const NodeId source = builder.node(op.node).inputs[0];
  if (!builder.wants_gradient(source)) return;
  const ValueId dy = builder.gradient_of(op, Layout::nchw());
  const ValueId dx = builder.new_gradient(source, Layout::nchw());
  const std::int64_t count = element_count(builder.shape(op.result));
  const StridedCopy copy{Nest<2>({count}, {Shape{1}, Shape{1}}), 0, 0, dy};
  add_backward_loop(op, builder, {dy}, {dx},
                    StridedCopies{{copy}, dx, count, std::nullopt, pool_of(builder)});
  builder.add_gradient(source, dx);
}

}  // namespace mobileone::loops
