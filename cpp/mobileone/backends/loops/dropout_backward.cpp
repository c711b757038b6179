#include "mobileone/backends/loops/dropout.hpp"
#include "mobileone/backends/loops/emit_backward.hpp"
#include "mobileone/backends/loops/maps.hpp"

namespace mobileone::loops {

template <>
void emit_backward(const Dropout& dropout, const LoweredOp& op, PlanBuilder& builder) {
  const Node& node = builder.node(op.node);
  const NodeId source = node.inputs[0];
  if (!builder.wants_gradient(source)) return;
  if (dropout.p == 0.0) {
    const Layout layout = builder.value(dense_map(builder, source)).layout;
    builder.add_gradient(source, builder.gradient_of(op, layout));
    return;
  }
  const ValueId dy = builder.gradient_of(op, Layout::nchw());
  const ValueId dx = builder.new_gradient(source, Layout::nchw());
  add_backward_loop(op, builder, {dy}, {dx}, masked_copy(dropout, op, builder, dy, dx));
  builder.add_gradient(source, dx);
}

}  // namespace mobileone::loops
