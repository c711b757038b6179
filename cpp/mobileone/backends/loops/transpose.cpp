#include "mobileone/backends/loops/emit.hpp"
#include "mobileone/backends/loops/strided.hpp"

namespace mobileone::loops {

template <>
void emit(const Transpose& transpose, const LoweredOp& op, PlanBuilder& builder) {
  const ValueId src = plain_value(builder, builder.node(op.node).inputs[0]);
  const ValueId dst = builder.new_result(op.result, Layout::nchw());
  const Shape from = permuted(strides_of(builder.value(src)), transpose.perm);
  const StridedCopy copy{Nest<2>(builder.shape(op.result), {strides_of(builder.value(dst)), from}),
                         0, 0, src};
  add_loop(op, builder, {src}, {dst}, StridedCopies(builder, dst, {copy}));
}

}  // namespace mobileone::loops
