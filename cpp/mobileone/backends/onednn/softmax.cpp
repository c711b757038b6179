#include "mobileone/backends/onednn/memory.hpp"
#include "mobileone/backends/onednn/primitive_step.hpp"
#include "mobileone/backends/onednn/steps.hpp"

namespace mobileone::onednn {

// What lies before the axis is one dimension, and so is what lies after it.
void emit(const Softmax& softmax, const LoweredOp& op, PlanBuilder& builder) {
  using Primitive = dnnl::softmax_forward;
  const ValueId src = builder.in_layout(builder.node(op.node).inputs[0], Layout::nchw());
  const ValueId dst = builder.new_result(op.result, Layout::nchw(), true);
  const Shape& shape = builder.shape(op.result);
  const auto axis = static_cast<std::size_t>(softmax.axis);
  std::int64_t before = 1, after = 1;
  for (std::size_t i = 0; i < axis; ++i) before *= shape[i];
  for (std::size_t i = axis + 1; i < shape.size(); ++i) after *= shape[i];
  const dnnl::memory::desc desc = plain_desc({before, shape[axis], after});
  const Primitive::primitive_desc primitive(cpu_engine(), dnnl::prop_kind::forward_inference,
                                            dnnl::algorithm::softmax_accurate, desc, desc, 1,
                                            strict_attributes());
  add_primitive<Primitive>(
      op, builder, primitive,
      {value_argument(DNNL_ARG_SRC, desc, src), value_argument(DNNL_ARG_DST, desc, dst)}, {src},
      {dst});
}

}  // namespace mobileone::onednn
