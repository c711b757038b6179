#include "mobileone/backends/loops/emit.hpp"
#include "mobileone/backends/loops/windows.hpp"

namespace mobileone::loops {

template <>
void emit(const Pad& pad, const LoweredOp& op, PlanBuilder& builder) {
  const NodeId source = builder.node(op.node).inputs[0];
  const ValueId src = plain_value(builder, source);
  const ValueId dst = builder.new_result(op.result, builder.value(src).layout);
  const Window window = window_of(pad, builder.shape(source));
  add_loop(op, builder, {src}, {dst},
           StridedCopies(builder, dst, {window.into(builder.value(dst), builder.value(src), src)},
                         static_cast<float>(pad.value)));
}

}  // namespace mobileone::loops
