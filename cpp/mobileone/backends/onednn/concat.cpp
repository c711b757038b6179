#include <algorithm>

#include "mobileone/backends/onednn/memory.hpp"
#include "mobileone/backends/onednn/primitive_step.hpp"
#include "mobileone/backends/onednn/steps.hpp"

namespace mobileone::onednn {

void emit(const Concat&, const LoweredOp& op, PlanBuilder& builder) {
  using Primitive = dnnl::concat;
  const Node& node = builder.node(op.node);
  if (node.inputs.size() == 1) {
    builder.alias(op.result, node.inputs[0]);
    return;
  }
  // Blocks are copied whole when every part has whole ones.
  Layout layout = preferred_layout(builder.shape(op.result));
  for (NodeId input : node.inputs) {
    if (preferred_layout(builder.shape(input)) != layout) layout = Layout::nhwc();
  }
  std::vector<ValueId> parts;
  std::vector<dnnl::memory::desc> descs;
  for (NodeId input : node.inputs) {
    parts.push_back(builder.in_layout(input, layout));
    descs.push_back(desc_of(builder.value(parts.back())));
  }
  const ValueId dst = builder.new_result(op.result, layout);
  const Primitive::primitive_desc primitive(cpu_engine(), desc_of(builder.value(dst)), 1, descs,
                                            strict_attributes());
  std::vector<Argument> arguments{value_argument(DNNL_ARG_DST, primitive.dst_desc(), dst)};
  for (std::size_t i = 0; i < parts.size(); ++i) {
    arguments.push_back(
        value_argument(DNNL_ARG_MULTIPLE_SRC + static_cast<int>(i), descs[i], parts[i]));
  }
  add_primitive<Primitive>(op, builder, primitive, std::move(arguments), parts, {dst});
}

}  // namespace mobileone::onednn
