#include "mobileone/backends/loops/emit.hpp"
#include "mobileone/backends/loops/windows.hpp"

namespace mobileone::loops {

template <>
void emit(const Pad& pad, const LoweredOp& op, PlanBuilder& builder) {
  const NodeId source = builder.node(op.node).inputs[0];
  const ValueId src = plain_value(builder, source);
  const ValueId dst = builder.new_result(op.result, builder.value(src).layout);
  const Window window = window_of(pad, builder.shape(source));
  const std::int64_t floats = element_count(builder.shape(op.result));
  add_loop(op, builder, {src}, {dst},
           StridedCopies{{window.into(builder.value(dst), builder.value(src), src)},
                         dst,
                         floats,
                         static_cast<float>(pad.value),
                         pool_of(builder)});
}

}  // namespace mobileone::loops
