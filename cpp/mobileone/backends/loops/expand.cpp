#include "mobileone/backends/loops/emit.hpp"
#include "mobileone/backends/loops/strided.hpp"

namespace mobileone::loops {

template <>
void emit(const Expand&, const LoweredOp& op, PlanBuilder& builder) {
  const ValueId src = plain_value(builder, builder.node(op.node).inputs[0]);
  const ValueId dst = builder.new_result(op.result, builder.value(src).layout);
  const Shape& shape = builder.shape(op.result);
  const Shape from = broadcast_strides(builder.value(src), shape.size());
  const StridedCopy copy{Nest<2>(shape, {strides_of(builder.value(dst)), from}), 0, 0, src};
  add_loop(op, builder, {src}, {dst}, StridedCopies(builder, dst, {copy}));
}

}  // namespace mobileone::loops
