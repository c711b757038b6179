#include "mobileone/backends/onednn/finish.hpp"
#include "mobileone/backends/onednn/memory.hpp"
#include "mobileone/backends/onednn/primitive_step.hpp"
#include "mobileone/backends/onednn/steps.hpp"

namespace mobileone::onednn {

void emit(const Linear& linear, const LoweredOp& op, PlanBuilder& builder) {
  using Primitive = dnnl::inner_product_forward;
  const Node& node = builder.node(op.node);
  const NodeId source = node.inputs[0];
  // Everything but the features is one batch.
  const std::int64_t batch = element_count(builder.shape(op.result)) / linear.out_features;
  const Layout layout =
      linear.takes_pixels(builder.shape(source)) ? Layout::nhwc() : Layout::nchw();
  const ValueId src = builder.in_layout(source, layout);
  const ValueId dst = builder.new_result(op.result, Layout::nchw(), true);
  const dnnl::memory::dims kernel{linear.out_features, linear.in_features};
  const dnnl::memory::desc bias =
      linear.bias ? plain_desc({linear.out_features}) : dnnl::memory::desc();
  const Primitive::primitive_desc primitive(
      cpu_engine(), dnnl::prop_kind::forward_inference, plain_desc({batch, linear.in_features}),
      dnnl::memory::desc(kernel, dnnl::memory::data_type::f32, dnnl::memory::format_tag::any), bias,
      plain_desc({batch, linear.out_features}), attributes_with(op.activation));
  std::vector<Argument> arguments{value_argument(DNNL_ARG_SRC, primitive.src_desc(), src),
                                  packed_weight(DNNL_ARG_WEIGHTS, builder, node.name + ".weight",
                                                kernel, primitive.weights_desc()),
                                  value_argument(DNNL_ARG_DST, primitive.dst_desc(), dst)};
  if (linear.bias) {
    arguments.push_back(
        plain_weight(DNNL_ARG_BIAS, builder, node.name + ".bias", {linear.out_features}));
  }
  add_primitive<Primitive>(op, builder, primitive, std::move(arguments), {src}, {dst}, 1,
                           left_to_finish(op.activation));
}

}  // namespace mobileone::onednn
