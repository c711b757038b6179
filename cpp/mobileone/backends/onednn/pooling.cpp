#include "mobileone/backends/onednn/memory.hpp"
#include "mobileone/backends/onednn/primitive_step.hpp"
#include "mobileone/backends/onednn/steps.hpp"

namespace mobileone::onednn {

void emit(const GlobalAvgPool&, const LoweredOp& op, PlanBuilder& builder) {
  using Primitive = dnnl::pooling_forward;
  const NodeId input = builder.node(op.node).inputs[0];
  const ValueId src = dense_value(builder, input);
  const Layout layout = builder.value(src).layout;
  const Shape& in = builder.shape(input);
  const ValueId dst = builder.new_result(op.result, layout);
  const Primitive::primitive_desc primitive(
      cpu_engine(), dnnl::prop_kind::forward_inference,
      dnnl::algorithm::pooling_avg_exclude_padding, desc_of(builder.value(src)),
      desc_of(builder.value(dst).shape, layout), {1, 1}, {in[2], in[3]}, {0, 0}, {0, 0}, {0, 0},
      strict_attributes());
  add_primitive<Primitive>(op, builder, primitive,
                           {value_argument(DNNL_ARG_SRC, primitive.src_desc(), src),
                            value_argument(DNNL_ARG_DST, primitive.dst_desc(), dst)},
                           {src}, {dst});
}

}  // namespace mobileone::onednn
