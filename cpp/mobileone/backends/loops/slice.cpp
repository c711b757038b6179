#include "mobileone/backends/loops/emit.hpp"
#include "mobileone/backends/loops/windows.hpp"

namespace mobileone::loops {

template <>
void emit(const Slice& slice, const LoweredOp& op, PlanBuilder& builder) {
  const ValueId src = plain_value(builder, builder.node(op.node).inputs[0]);
  const ValueId dst = builder.new_result(op.result, builder.value(src).layout);
  const Window window = window_of(slice, builder.shape(op.result));
  add_loop(
      op, builder, {src}, {dst},
      StridedCopies(builder, dst, {window.out_of(builder.value(src), builder.value(dst), src)}));
}

}  // namespace mobileone::loops
