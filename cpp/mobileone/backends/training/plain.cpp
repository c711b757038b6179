// A convolution alone, with gradients, on the kernels of the sums.
#include "mobileone/backends/training/dense.hpp"

namespace mobileone::training {

namespace {

// Panels of W, and the bias as the kernels read it.
void add_panels(const Dense& d, const BranchSum& sum, const Operand& weight, const Operand& bias,
                PlanBuilder& builder) {
  const auto run = [=, pool = pool_of(builder)](const Buffers& buffers) {
    const float* const w = weight.address(buffers);
    const float* const offsets = bias.address(buffers);
    float* const to = floats(buffers, d.bias);
    for (std::int64_t row = 0; row < d.output_blocks() * kBlock; ++row) {
      to[row] = offsets && row < d.outputs ? offsets[row] : 0.f;
    }
    each(pool, panel_count(d.outputs), [&](std::int64_t panel, int) {
      pack_panel(
          panel, d.taps(), d.outputs,
          [&](std::int64_t tap, std::int64_t row) { return w[row * d.taps() + tap]; },
          floats(buffers, d.panels));
    });
  };
  builder.add_step(function_step(describe_part(sum, builder, "panels", 0), run),
                   PlanBuilder::values_of({weight, bias}), {d.panels, d.bias});
}

// Sums of the slots, and what the input's gradient is made with.
void add_gradient_sums(const Dense& d, const BranchSum& sum, const Operand& weight, ValueId dw,
                       ValueId db, PlanBuilder& builder) {
  const std::int64_t k = d.tap_blocks() * kBlock, o = d.output_blocks() * kBlock;
  const auto run = [=, pool = pool_of(builder)](const Buffers& buffers) {
    each(pool, d.outputs, [&](std::int64_t row, int) {
      double bias = 0.0;
      for (std::int64_t slot = 0; slot < d.gradient_slots.slots; ++slot) {
        bias += doubles(buffers, d.dbias)[slot * o + row];
      }
      if (db >= 0) floats(buffers, db)[row] = static_cast<float>(bias);
      for (std::int64_t tap = 0; tap < d.taps(); ++tap) {
        double total = 0.0;
        for (std::int64_t slot = 0; slot < d.gradient_slots.slots; ++slot) {
          total += static_cast<double>(floats(buffers, d.dweight)[(slot * o + row) * k + tap]);
        }
        floats(buffers, dw)[row * d.taps() + tap] = static_cast<float>(total);
      }
    });
    if (d.w_panels < 0) return;
    const float* const w = weight.address(buffers);
    each(pool, panel_count(d.taps()), [&](std::int64_t panel, int) {
      pack_panel(
          panel, d.outputs, d.taps(),
          [&](std::int64_t row, std::int64_t tap) { return w[row * d.taps() + tap]; },
          floats(buffers, d.w_panels));
    });
    std::fill_n(floats(buffers, d.constant), k, 0.f);
  };
  std::vector<ValueId> reads = PlanBuilder::values_of({weight}), writes{dw};
  reads.insert(reads.end(), {d.dweight, d.dbias});
  if (db >= 0) writes.push_back(db);
  if (d.w_panels >= 0) writes.insert(writes.end(), {d.w_panels, d.constant});
  builder.add_step(function_step(describe_part(sum, builder, "gradient sums", 0), run), reads,
                   writes);
}

void emit_plain_backward(Dense d, const BranchSum& sum, const Operand& weight, bool bias,
                         PlanBuilder& builder) {
  const std::int64_t k = d.tap_blocks() * kBlock, o = d.output_blocks() * kBlock;
  const std::string& name = builder.node(sum.op.node).name;
  d.g = builder.gradient_of(sum.op, map_layout());
  d.dweight = builder.new_temporary({d.gradient_slots.slots, o, k});
  d.dbias = builder.new_temporary({d.gradient_slots.slots, o}, DType::float64);
  const bool wanted = builder.wants_gradient(sum.input);
  if (wanted) {
    d.w_panels = builder.new_temporary({o, k});
    d.constant = builder.new_temporary({k});
  }
  const ValueId dw = builder.new_weight_gradient(sum.op.node, name + ".weight");
  const ValueId db = bias ? builder.new_weight_gradient(sum.op.node, name + ".bias") : -1;
  add_weight_gradient(d, sum, builder);
  add_gradient_sums(d, sum, weight, dw, db, builder);
  if (!wanted) return;
  const ValueId dx = builder.new_gradient(sum.input, map_layout());
  add_input_gradient(d, sum, builder, dx);
  builder.add_gradient(sum.input, dx, d.masked);
}

}  // namespace

bool emit_plain(const LoweredOp& op, PlanBuilder& builder) {
  const Node& node = builder.node(op.node);
  const auto* conv = std::get_if<Conv2d>(&node.op);
  if (!conv || conv->groups != 1 || conv->dilation != Extent{1, 1}) return false;
  if (op.activation && op.activation != ActivationKind::relu) return false;
  BranchSum sum;
  sum.input = node.inputs[0];
  sum.merged = *conv;
  sum.op = op;
  const Dense d(sum, builder);
  const Operand weight = builder.weight(node.name + ".weight");
  const Operand bias = conv->bias ? builder.weight(node.name + ".bias") : Operand{};
  add_panels(d, sum, weight, bias, builder);
  add_convolution(d, sum, builder);
  builder.on_backward([=, &builder, has_bias = conv->bias] {
    emit_plain_backward(d, sum, weight, has_bias, builder);
  });
  return true;
}

}  // namespace mobileone::training
