#include "mobileone/backends/loops/emit_backward.hpp"
#include "mobileone/backends/loops/windows.hpp"

namespace mobileone::loops {

template <>
void emit_backward(const Slice& slice, const LoweredOp& op, PlanBuilder& builder) {
  const NodeId source = builder.node(op.node).inputs[0];
  if (!builder.wants_gradient(source)) return;
  const ValueId dy = builder.gradient_of(op, Layout::nchw());
  const ValueId dx = builder.new_gradient(source, Layout::nchw());
  const Window window = window_of(slice, builder.shape(op.result));
  const std::int64_t floats = element_count(builder.shape(source));
  add_backward_loop(op, builder, {dy}, {dx},
                    StridedCopies{{window.into(builder.value(dx), builder.value(dy), dy)},
                                  dx,
                                  floats,
                                  0.f,
                                  pool_of(builder)});
  builder.add_gradient(source, dx);
}

}  // namespace mobileone::loops
