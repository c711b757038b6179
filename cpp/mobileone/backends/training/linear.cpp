#include "mobileone/backends/training/linear.hpp"

namespace mobileone::training {

bool emit_linear(const LoweredOp& op, PlanBuilder& builder) {
  const Node& node = builder.node(op.node);
  const auto* linear = std::get_if<Linear>(&node.op);
  if (!linear || (op.activation && op.activation != ActivationKind::relu)) return false;
  const LinearRows rows(*linear, element_count(builder.shape(op.result)) / linear->out_features);
  const Operand weight = builder.weight(node.name + ".weight");
  const Operand bias = linear->bias ? builder.weight(node.name + ".bias") : Operand{};
  const NodeId source = node.inputs[0];
  const Layout layout =
      linear->takes_pixels(builder.shape(source)) ? Layout::nhwc() : Layout::nchw();
  // Everything but the features is one row.
  RowProduct product{builder.in_layout(source, layout),
                     builder.new_result(op.result, Layout::nchw(), true),
                     rows.in,
                     rows.out,
                     weight,
                     true,
                     bias};
  if (op.activation) product.floor = 0.f;
  add_product(rows, product, describe(op, builder, implementation()), builder);
  builder.on_backward([=, x = product.x, &builder] { emit_linear_backward(rows, op, x, builder); });
  return true;
}

}  // namespace mobileone::training
