#include "mobileone/backends/loops/emit.hpp"
#include "mobileone/backends/loops/strided.hpp"

namespace mobileone::loops {

template <>
void emit(const Reshape&, const LoweredOp& op, PlanBuilder& builder) {
  const ValueId src = builder.in_layout(builder.node(op.node).inputs[0], Layout::nchw());
  const ValueId dst = builder.new_result(op.result, Layout::nchw());
  const std::int64_t count = element_count(builder.shape(op.result));
  add_loop(op, builder, {src}, {dst}, StridedCopies(builder, dst, {whole_copy(count, src)}));
}

}  // namespace mobileone::loops
