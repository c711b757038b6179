#include "mobileone/backends/loops/emit.hpp"
#include "mobileone/backends/loops/strided.hpp"

namespace mobileone::loops {

template <>
void emit(const Transpose& transpose, const LoweredOp& op, PlanBuilder& builder) {
  const ValueId src = plain_value(builder, builder.node(op.node).inputs[0]);
  const ValueId dst = builder.new_result(op.result, Layout::nchw());
  const Shape& shape = builder.shape(op.result);
  const Shape strides = strides_of(builder.value(src));
  Shape from;
  for (std::int64_t axis : transpose.perm) from.push_back(strides[static_cast<std::size_t>(axis)]);
  const StridedCopy copy{Nest<2>(shape, {strides_of(builder.value(dst)), from}), 0, 0, src};
  add_loop(op, builder, {src}, {dst},
           StridedCopies{{copy}, dst, element_count(shape), std::nullopt, pool_of(builder)});
}

}  // namespace mobileone::loops
