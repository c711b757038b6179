#include "mobileone/plan/describe.hpp"

namespace mobileone {

namespace {

std::int64_t bytes_of(const Shape& shape) {
  return element_count(shape) * static_cast<std::int64_t>(sizeof(float));
}

std::string kind_of(const LoweredOp& op, const Node& node) {
  std::string kind = kind_name(node.op);
  if (op.activation) kind += std::string("+") + to_string(*op.activation);
  return kind;
}

}  // namespace

StepInfo describe(const std::vector<const LoweredOp*>& ops, const PlanBuilder& builder,
                  const std::string& implementation) {
  StepInfo info;
  info.implementation = implementation;
  for (const LoweredOp* op : ops) {
    const Node& node = builder.node(op->node);
    info.name += (info.name.empty() ? "" : " > ") + node.name;
    info.kind += (info.kind.empty() ? "" : " > ") + kind_of(*op, node);
    info.macs += count_macs(node.op, builder.shape(op->result));
    for (const Parameter& parameter : parameters(node.name, node.op)) {
      info.bytes += bytes_of(parameter.shape);
    }
  }
  const Node& first = builder.node(ops.front()->node);
  for (std::size_t i = 0; i < first.inputs.size(); ++i) {
    const Shape& shape = builder.shape(first.inputs[i]);
    info.input_shapes.push_back(shape);
    if (i == 0 || !traits_of(first.op).lends_shape) info.bytes += bytes_of(shape);
  }
  info.output_shape = builder.shape(ops.back()->result);
  info.bytes += bytes_of(info.output_shape);
  return info;
}

StepInfo describe(const LoweredOp& op, const PlanBuilder& builder,
                  const std::string& implementation) {
  return describe(std::vector<const LoweredOp*>{&op}, builder, implementation);
}

}  // namespace mobileone
