#include "mobileone/backends/training/linear.hpp"

#include <limits>

namespace mobileone::training {

namespace {

// Everything but the features is one row; [N, C, 1, 1] in nhwc is [N, C].
Layout rows_layout(const Linear& linear, const LoweredOp& op, const PlanBuilder& builder) {
  const Shape& in = builder.shape(builder.node(op.node).inputs[0]);
  const bool last = in.back() == linear.in_features && builder.shape(op.result).size() == in.size();
  return last ? Layout::nchw() : Layout::nhwc();
}

}  // namespace

bool emit_linear(const LoweredOp& op, PlanBuilder& builder) {
  const Node& node = builder.node(op.node);
  const auto* linear = std::get_if<Linear>(&node.op);
  if (!linear || (op.activation && op.activation != ActivationKind::relu)) return false;
  const LinearRows rows(*linear, element_count(builder.shape(op.result)) / linear->out_features);
  const Operand weight = builder.weight(node.name + ".weight");
  const Operand bias = linear->bias ? builder.weight(node.name + ".bias") : Operand{};
  RowProduct product;
  product.x = builder.in_layout(node.inputs[0], rows_layout(*linear, op, builder));
  product.y = builder.new_result(op.result, Layout::nchw(), true);
  product.from = rows.in;
  product.to = rows.out;
  product.panels = builder.new_temporary({padded(rows.in), padded(rows.out)});
  product.bias = builder.new_temporary({padded(rows.out)});
  product.floor = op.activation ? 0.f : -std::numeric_limits<float>::infinity();
  const auto run = [=, pool = pool_of(builder)](const Buffers& buffers) {
    const float* const w = weight.address(buffers);
    float* const offsets = floats(buffers, product.bias);
    std::fill_n(offsets, padded(rows.out), 0.f);
    if (bias) std::copy_n(bias.address(buffers), rows.out, offsets);
    each(pool, panel_count(rows.out), [&](std::int64_t panel, int) {
      pack_panel(
          panel, rows.in, rows.out,
          [&](std::int64_t k, std::int64_t row) { return w[row * rows.in + k]; },
          floats(buffers, product.panels));
    });
    multiply_rows(rows, product, buffers, pool);
  };
  std::vector<ValueId> reads = PlanBuilder::values_of({weight, bias});
  reads.push_back(product.x);
  builder.add_step(function_step(describe(op, builder, implementation()), run,
                                 scratch_bytes(builder, product_floats(rows))),
                   reads, {product.y, product.panels, product.bias});
  builder.on_backward([=, x = product.x, &builder] { emit_linear_backward(rows, op, x, builder); });
  return true;
}

}  // namespace mobileone::training
