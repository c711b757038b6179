#include "mobileone/backends/loops/dropout.hpp"

#include "mobileone/backends/loops/emit.hpp"

namespace mobileone::loops {

template <>
void emit(const Dropout& dropout, const LoweredOp& op, PlanBuilder& builder) {
  const Node& node = builder.node(op.node);
  if (!builder.options().training || dropout.p == 0.0) {
    builder.alias(op.result, node.inputs[0]);
    return;
  }
  const ValueId src = builder.in_layout(node.inputs[0], Layout::nchw());
  const ValueId dst = builder.new_result(op.result, Layout::nchw());
  add_loop(op, builder, {src}, {dst}, masked_copy(dropout, op, builder, src, dst));
}

}  // namespace mobileone::loops
