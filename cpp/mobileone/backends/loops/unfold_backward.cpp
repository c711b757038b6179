#include "mobileone/backends/loops/emit_backward.hpp"
#include "mobileone/backends/loops/token_copy.hpp"

// Each one's gradient is the other's copy.
namespace mobileone::loops {

template <>
void emit_backward(const Unfold& unfold, const LoweredOp& op, PlanBuilder& builder) {
  const NodeId source = builder.node(op.node).inputs[0];
  if (!builder.wants_gradient(source)) return;
  const ValueId dy = builder.gradient_of(op, Layout::nchw());
  const ValueId dx = builder.new_gradient(source, map_layout(builder, builder.shape(source)));
  const TokenCopy copy{MapView(builder.value(dx)), unfold.patch, TokenCopy::Direction::fold, dy,
                       dx};
  add_backward_loop(op, builder, {dy}, {dx}, run_copy(copy, builder));
  builder.add_gradient(source, dx);
}

template <>
void emit_backward(const Fold& fold, const LoweredOp& op, PlanBuilder& builder) {
  const NodeId source = builder.node(op.node).inputs[0];
  if (!builder.wants_gradient(source)) return;
  const ValueId dy = builder.gradient_of(op, map_layout(builder, builder.shape(op.result)));
  const ValueId dx = builder.new_gradient(source, Layout::nchw());
  const TokenCopy copy{MapView(builder.value(dy)), fold.patch, TokenCopy::Direction::unfold, dy,
                       dx};
  add_backward_loop(op, builder, {dy}, {dx}, run_copy(copy, builder));
  builder.add_gradient(source, dx);
}

}  // namespace mobileone::loops
