#include <algorithm>

#include "mobileone/backends/onednn/finish.hpp"
#include "mobileone/backends/onednn/memory.hpp"
#include "mobileone/backends/onednn/primitive_step.hpp"
#include "mobileone/backends/onednn/steps.hpp"

namespace mobileone::onednn {

namespace {

struct Row {
  ActivationKind kind;
  Eltwise eltwise;
};

// A row where oneDNN has the function and passes NaN on. The others are finish.hpp's.
constexpr Row kRows[] = {
    {ActivationKind::sigmoid, {dnnl::algorithm::eltwise_logistic}},
    {ActivationKind::gelu, {dnnl::algorithm::eltwise_gelu_erf}},
    {ActivationKind::silu, {dnnl::algorithm::eltwise_swish, 1.f}},
    {ActivationKind::hard_swish, {dnnl::algorithm::eltwise_hardswish, 1.f / 6.f, 0.5f}},
    {ActivationKind::leaky_relu, {dnnl::algorithm::eltwise_relu, static_cast<float>(kLeak)}},
    {ActivationKind::tanh, {dnnl::algorithm::eltwise_tanh}},
    {ActivationKind::gelu_tanh, {dnnl::algorithm::eltwise_gelu_tanh}},
    {ActivationKind::mish, {dnnl::algorithm::eltwise_mish}},
};

}  // namespace

std::optional<Eltwise> eltwise_of(const std::optional<ActivationKind>& activation) {
  const auto row =
      std::ranges::find_if(kRows, [&](const Row& each) { return each.kind == activation; });
  return row == std::end(kRows) ? std::nullopt : std::optional(row->eltwise);
}

bool is_ours(const std::optional<ActivationKind>& activation) {
  return activation && !eltwise_of(activation);
}

dnnl::primitive_attr attributes_with(const std::optional<ActivationKind>& activation,
                                     dnnl::post_ops before) {
  dnnl::primitive_attr attributes = strict_attributes();
  if (const auto eltwise = eltwise_of(activation)) {
    before.append_eltwise(eltwise->algorithm, eltwise->alpha, eltwise->beta);
  }
  attributes.set_post_ops(before);
  return attributes;
}

namespace {

void emit_eltwise(const Eltwise& eltwise, const LoweredOp& op, PlanBuilder& builder) {
  using Primitive = dnnl::eltwise_forward;
  const ValueId src = dense_value(builder, builder.node(op.node).inputs[0]);
  const ValueId dst = builder.new_result(op.result, builder.value(src).layout);
  const dnnl::memory::desc desc = desc_of(builder.value(src));
  const Primitive::primitive_desc primitive(cpu_engine(), dnnl::prop_kind::forward_inference,
                                            eltwise.algorithm, desc, desc, eltwise.alpha,
                                            eltwise.beta, strict_attributes());
  add_primitive<Primitive>(
      op, builder, primitive,
      {value_argument(DNNL_ARG_SRC, desc, src), value_argument(DNNL_ARG_DST, desc, dst)}, {src},
      {dst});
}

}  // namespace

void emit(const Activation& activation, const LoweredOp& op, PlanBuilder& builder) {
  const std::optional<Eltwise> eltwise = eltwise_of(activation.kind);
  if (!eltwise) {
    const ValueId src = dense_value(builder, builder.node(op.node).inputs[0]);
    const ValueId dst = builder.new_result(op.result, builder.value(src).layout);
    return add_sum(op, builder, {src}, dst, activation.kind);
  }
  emit_eltwise(*eltwise, op, builder);
}

// One pass over memory: the first two summands are the operands, the rest are post-ops; or our own.
void emit(const Add&, const LoweredOp& op, PlanBuilder& builder) {
  using Primitive = dnnl::binary;
  const Node& node = builder.node(op.node);
  if (node.inputs.size() == 1 && !is_ours(op.activation)) {
    // A sum of one summand: its activation, or the identity x -> 1 * x + 0.
    const Eltwise identity{dnnl::algorithm::eltwise_linear, 1.f};
    emit_eltwise(eltwise_of(op.activation).value_or(identity), op, builder);
    return;
  }
  const Layout layout = builder.value(dense_value(builder, node.inputs[0])).layout;
  const dnnl::memory::desc desc = desc_of(builder.shape(op.result), layout);
  std::vector<ValueId> summands;
  for (NodeId input : node.inputs) summands.push_back(builder.in_layout(input, layout));
  const ValueId dst = builder.new_result(op.result, layout);
  if (is_ours(op.activation)) return add_sum(op, builder, summands, dst, op.activation);

  dnnl::post_ops further;
  std::vector<Argument> arguments{value_argument(DNNL_ARG_SRC_0, desc, summands[0]),
                                  value_argument(DNNL_ARG_SRC_1, desc, summands[1]),
                                  value_argument(DNNL_ARG_DST, desc, dst)};
  for (std::size_t i = 2; i < summands.size(); ++i) {
    further.append_binary(dnnl::algorithm::binary_add, desc);
    arguments.push_back(
        value_argument(DNNL_ARG_ATTR_MULTIPLE_POST_OP(static_cast<int>(i) - 2) | DNNL_ARG_SRC_1,
                       desc, summands[i]));
  }
  const Primitive::primitive_desc primitive(cpu_engine(), dnnl::algorithm::binary_add, desc, desc,
                                            desc, attributes_with(op.activation, further));
  add_primitive<Primitive>(op, builder, primitive, std::move(arguments), summands, {dst});
}

// A factor [N, C, 1, 1] is applied image by image as [1, C, 1, 1]: oneDNN broadcasts that with
// vector code, but runs the whole batch in a scalar reference implementation.
void emit(const Multiply&, const LoweredOp& op, PlanBuilder& builder) {
  using Primitive = dnnl::binary;
  const Node& node = builder.node(op.node);
  const ValueId src = dense_value(builder, node.inputs[0]);
  const Layout layout = builder.value(src).layout;
  const Shape& full = builder.shape(op.result);
  const Shape& gate_shape = builder.shape(node.inputs[1]);
  const bool broadcast = gate_shape != full;
  const std::int64_t images = broadcast ? full[0] : 1;
  // One pixel is the same memory in both, but for the channels that fill the last block.
  const bool whole = layout.kind != Layout::Kind::blocked || full[1] % layout.block == 0;
  const ValueId gate =
      builder.in_layout(node.inputs[1], broadcast && whole ? Layout::nhwc() : layout);
  const ValueId dst = builder.new_result(op.result, layout);

  const auto one_image = [&](const Shape& shape) {
    Shape part = shape;
    part[0] /= images;
    return part;
  };
  const dnnl::memory::desc desc = desc_of(one_image(full), layout);
  // Described in the image's own layout: the same memory for one pixel, and what the vector code
  // asks for.
  const dnnl::memory::desc gate_desc = desc_of(one_image(gate_shape), layout);
  const Primitive::primitive_desc primitive(cpu_engine(), dnnl::algorithm::binary_mul, desc,
                                            gate_desc, desc, attributes_with(op.activation));
  std::vector<Argument> arguments{value_argument(DNNL_ARG_SRC_0, desc, src),
                                  value_argument(DNNL_ARG_SRC_1, gate_desc, gate),
                                  value_argument(DNNL_ARG_DST, desc, dst)};
  for (Argument& argument : arguments) argument.image_bytes = argument.desc.get_size();
  add_primitive<Primitive>(op, builder, primitive, std::move(arguments), {src, gate}, {dst}, images,
                           left_to_finish(op.activation));
}

}  // namespace mobileone::onednn
