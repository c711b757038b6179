#include "mobileone/backends/loops/emit.hpp"
#include "mobileone/backends/loops/strided.hpp"

namespace mobileone::loops {

template <>
void emit(const Reshape&, const LoweredOp& op, PlanBuilder& builder) {
  const ValueId src = builder.in_layout(builder.node(op.node).inputs[0], Layout::nchw());
  const ValueId dst = builder.new_result(op.result, Layout::nchw());
  const std::int64_t count = element_count(builder.shape(op.result));
  const StridedCopy copy{Nest<2>({count}, {Shape{1}, Shape{1}}), 0, 0, src};
  add_loop(op, builder, {src}, {dst},
           StridedCopies{{copy}, dst, count, std::nullopt, pool_of(builder)});
}

}  // namespace mobileone::loops
