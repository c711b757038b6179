#include "mobileone/backends/onednn/memory.hpp"
#include "mobileone/backends/onednn/primitive_step.hpp"
#include "mobileone/backends/onednn/steps.hpp"

namespace mobileone::onednn {

void emit(const BatchNorm& batch_norm, const LoweredOp& op, PlanBuilder& builder) {
  using Primitive = dnnl::batch_normalization_forward;
  const Node& node = builder.node(op.node);
  const bool training = builder.options().training;
  const ValueId src = dense_value(builder, node.inputs[0]);
  const ValueId dst = builder.new_result(op.result, builder.value(src).layout);
  const dnnl::memory::desc desc = desc_of(builder.value(src));

  auto flags = dnnl::normalization_flags::use_scale | dnnl::normalization_flags::use_shift;
  if (!training) flags |= dnnl::normalization_flags::use_global_stats;
  const Primitive::primitive_desc primitive(
      cpu_engine(),
      training ? dnnl::prop_kind::forward_training : dnnl::prop_kind::forward_inference, desc, desc,
      static_cast<float>(batch_norm.eps), flags, strict_attributes());

  const dnnl::memory::dims dims{batch_norm.channels};
  std::vector<Argument> arguments{
      value_argument(DNNL_ARG_SRC, desc, src), value_argument(DNNL_ARG_DST, desc, dst),
      plain_weight(DNNL_ARG_SCALE, builder, node.name + ".weight", dims),
      plain_weight(DNNL_ARG_SHIFT, builder, node.name + ".bias", dims)};
  std::vector<ValueId> writes{dst};
  const auto add_statistic = [&](int index, PlanOutput::Kind kind, const char* suffix) {
    if (training) {
      writes.push_back(builder.new_extra_output(op.node, kind, dims));
      arguments.push_back(value_argument(index, plain_desc(dims), writes.back()));
    } else {
      arguments.push_back(plain_weight(index, builder, node.name + suffix, dims));
    }
  };
  add_statistic(DNNL_ARG_MEAN, PlanOutput::Kind::batch_mean, ".running_mean");
  add_statistic(DNNL_ARG_VARIANCE, PlanOutput::Kind::batch_variance, ".running_var");
  add_primitive<Primitive>(op, builder, primitive, std::move(arguments), {src}, writes);
}

}  // namespace mobileone::onednn
