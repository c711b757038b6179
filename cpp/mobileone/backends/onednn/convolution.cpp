#include "mobileone/backends/onednn/finish.hpp"
#include "mobileone/backends/onednn/memory.hpp"
#include "mobileone/backends/onednn/primitive_step.hpp"
#include "mobileone/backends/onednn/steps.hpp"

namespace mobileone::onednn {

namespace {

using Primitive = dnnl::convolution_forward;
using Desc = dnnl::memory::desc;

dnnl::memory::dims kernel_dims(const Conv2d& conv) {
  const std::int64_t out = conv.out_channels, in = conv.in_channels / conv.groups;
  if (conv.groups == 1) return {out, in, conv.kernel[0], conv.kernel[1]};
  return {conv.groups, out / conv.groups, in, conv.kernel[0], conv.kernel[1]};
}

// torch counts the elements between taps from 1 (dilation 1 = dense), oneDNN from 0.
dnnl::memory::dims dilates(const Conv2d& conv) {
  return {conv.dilation[0] - 1, conv.dilation[1] - 1};
}

// Right and bottom padding is what the output size leaves over; with stride 2 it is often less
// than on the left.
dnnl::memory::dims end_padding(const Conv2d& conv, const Shape& in, const Shape& out) {
  dnnl::memory::dims padding(2);
  for (std::size_t axis = 0; axis < 2; ++axis) {
    const std::int64_t span = conv.dilation[axis] * (conv.kernel[axis] - 1) + 1;
    padding[axis] =
        (out[axis + 2] - 1) * conv.stride[axis] + span - in[axis + 2] - conv.padding[axis];
  }
  return padding;
}

// With ReLU as the only post-op, in the form that passes NaN on.
dnnl::primitive_attr attributes_with_relu() {
  dnnl::primitive_attr attributes = strict_attributes();
  dnnl::post_ops relu;
  relu.append_prelu(0);
  attributes.set_post_ops(relu);
  return attributes;
}

Argument relu_argument() {
  return {DNNL_ARG_ATTR_MULTIPLE_POST_OP(0) | DNNL_ARG_WEIGHTS, plain_desc({1, 1, 1, 1}),
          Operand{-1, relu_slope()}};
}

Primitive::primitive_desc describe_primitive(const Conv2d& conv, const LoweredOp& op,
                                             const PlanBuilder& builder, const Desc& src,
                                             const Desc& dst,
                                             const dnnl::primitive_attr& attributes) {
  const Shape& in = builder.shape(builder.node(op.node).inputs[0]);
  const Shape& out = builder.shape(op.result);
  constexpr auto kFloat = dnnl::memory::data_type::f32;
  const Desc weights(kernel_dims(conv), kFloat, dnnl::memory::format_tag::any);
  const Desc bias = conv.bias ? plain_desc({conv.out_channels}) : Desc();
  return {cpu_engine(),
          dnnl::prop_kind::forward_inference,
          dnnl::algorithm::convolution_direct,
          src,
          weights,
          bias,
          dst,
          {conv.stride[0], conv.stride[1]},
          dilates(conv),
          {conv.padding[0], conv.padding[1]},
          end_padding(conv, in, out),
          attributes};
}

struct Choice {
  Layout source, result;
  Primitive::primitive_desc primitive;
};

// The first pair of layouts that has an optimised implementation, else the first that works, else
// none.
std::optional<Choice> choose(const Conv2d& conv, const LoweredOp& op, const PlanBuilder& builder,
                             const dnnl::primitive_attr& attributes) {
  const NodeId input = builder.node(op.node).inputs[0];
  const Layout given = builder.value(builder.value_of(input)).layout;
  const Layout preferred = preferred_layout(builder.shape(op.result));
  const std::vector<std::pair<Layout, Layout>> candidates{
      {given, preferred},
      {preferred_layout(builder.shape(input)), preferred},
      {Layout::nhwc(), Layout::nhwc()},
      {Layout::nchw(), Layout::nchw()}};
  std::optional<Choice> fallback;
  for (const auto& [source, result] : candidates) {
    try {
      auto primitive = describe_primitive(conv, op, builder, desc_of(builder.shape(input), source),
                                          desc_of(builder.shape(op.result), result), attributes);
      if (!is_reference(primitive)) return Choice{source, result, primitive};
      if (!fallback) fallback = Choice{source, result, primitive};
    } catch (const dnnl::error& error) {
      if (error.status != dnnl_unimplemented) throw;
    }
  }
  return fallback;
}

}  // namespace

void emit(const Conv2d& conv, const LoweredOp& op, PlanBuilder& builder) {
  const Node& node = builder.node(op.node);
  std::optional<Choice> choice;
  if (op.activation == ActivationKind::relu) {
    choice = choose(conv, op, builder, attributes_with_relu());
    if (choice && is_reference(choice->primitive)) choice.reset();
  }
  const bool relu_inside = choice.has_value();
  std::optional<ActivationKind> finish = relu_inside ? std::nullopt : left_to_finish(op.activation);
  if (!choice) choice = choose(conv, op, builder, attributes_with(op.activation));
  // The sigmoid after its matrix products gives a number for NaN where there is no AVX-512.
  if (op.activation == ActivationKind::sigmoid && choice && is_gemm(choice->primitive)) {
    choice = choose(conv, op, builder, strict_attributes());
    finish = op.activation;
  }
  if (!choice) throw dnnl::error(dnnl_unimplemented, "no implementation of this convolution");

  const ValueId src = builder.in_layout(node.inputs[0], choice->source);
  const ValueId dst = builder.new_result(op.result, choice->result);
  const auto& primitive = choice->primitive;
  std::vector<Argument> arguments{value_argument(DNNL_ARG_SRC, primitive.src_desc(), src),
                                  packed_weight(DNNL_ARG_WEIGHTS, builder, node.name + ".weight",
                                                kernel_dims(conv), primitive.weights_desc()),
                                  value_argument(DNNL_ARG_DST, primitive.dst_desc(), dst)};
  if (conv.bias) {
    arguments.push_back(
        plain_weight(DNNL_ARG_BIAS, builder, node.name + ".bias", {conv.out_channels}));
  }
  if (relu_inside) arguments.push_back(relu_argument());
  add_primitive<Primitive>(op, builder, primitive, std::move(arguments), {src}, {dst}, 1, finish);
}

}  // namespace mobileone::onednn
