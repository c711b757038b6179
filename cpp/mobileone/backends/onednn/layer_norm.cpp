#include "mobileone/backends/onednn/memory.hpp"
#include "mobileone/backends/onednn/primitive_step.hpp"
#include "mobileone/backends/onednn/steps.hpp"

namespace mobileone::onednn {

void emit(const LayerNorm& layer_norm, const LoweredOp& op, PlanBuilder& builder) {
  using Primitive = dnnl::layer_normalization_forward;
  const Node& node = builder.node(op.node);
  // Row-major: channels lie side by side, and everything before them is one dimension.
  const ValueId src = builder.in_layout(node.inputs[0], Layout::nchw());
  const ValueId dst = builder.new_result(op.result, Layout::nchw());
  const std::int64_t rows = element_count(builder.shape(op.result)) / layer_norm.channels;
  const dnnl::memory::desc desc = plain_desc({rows, layer_norm.channels});
  const Primitive::primitive_desc primitive(
      cpu_engine(), dnnl::prop_kind::forward_inference, desc, desc,
      static_cast<float>(layer_norm.eps),
      dnnl::normalization_flags::use_scale | dnnl::normalization_flags::use_shift,
      strict_attributes());
  const dnnl::memory::dims dims{layer_norm.channels};
  add_primitive<Primitive>(
      op, builder, primitive,
      {value_argument(DNNL_ARG_SRC, desc, src), value_argument(DNNL_ARG_DST, desc, dst),
       plain_weight(DNNL_ARG_SCALE, builder, node.name + ".weight", dims),
       plain_weight(DNNL_ARG_SHIFT, builder, node.name + ".bias", dims)},
      {src}, {dst});
}

}  // namespace mobileone::onednn
