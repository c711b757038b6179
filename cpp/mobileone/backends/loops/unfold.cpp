#include "mobileone/backends/loops/emit.hpp"
#include "mobileone/backends/loops/token_copy.hpp"

namespace mobileone::loops {

template <>
void emit(const Unfold& unfold, const LoweredOp& op, PlanBuilder& builder) {
  const ValueId src = map_with_runs(builder, builder.node(op.node).inputs[0]);
  const ValueId dst = builder.new_result(op.result, Layout::nchw());
  const TokenCopy copy{MapView(builder.value(src)), unfold.patch, TokenCopy::Direction::unfold, src,
                       dst};
  add_loop(op, builder, {src}, {dst}, run_copy(copy, builder));
}

template <>
void emit(const Fold& fold, const LoweredOp& op, PlanBuilder& builder) {
  const ValueId src = builder.value_of(builder.node(op.node).inputs[0]);
  const ValueId dst = builder.new_result(op.result, map_layout(builder, builder.shape(op.result)));
  const TokenCopy copy{MapView(builder.value(dst)), fold.patch, TokenCopy::Direction::fold, src,
                       dst};
  add_loop(op, builder, {src}, {dst}, run_copy(copy, builder));
}

}  // namespace mobileone::loops
