#include "mobileone/backends/loops/depthwise.hpp"
#include "mobileone/backends/loops/emit.hpp"
#include "mobileone/backends/loops/products.hpp"

namespace mobileone::loops {

template <>
void emit(const Conv2d& conv, const LoweredOp& op, PlanBuilder& builder) {
  const NodeId input = builder.node(op.node).inputs[0];
  if (conv.depthwise()) return emit_depthwise(conv, op, builder);
  const ValueId src = dense_map(builder, input);  // read one by one, wherever channels lie
  const ValueId dst = builder.new_result(op.result, map_layout(builder, builder.shape(op.result)));
  add_products({conv, MapView(builder.value(src)), MapView(builder.value(dst)), op.activation}, src,
               dst, op, builder);
}

}  // namespace mobileone::loops
