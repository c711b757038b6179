#include "mobileone/backends/training/linear.hpp"
#include "mobileone/kernels/vectorized.hpp"

namespace mobileone::training {

namespace {

// dW = dy' x and db, slot by slot: [slots][out][in] of whole blocks, float64 [slots][out].
struct WeightSums {
  ValueId x, dy, weight, bias;

  static std::int64_t scratch_floats(const LinearRows& rows) {
    return product_floats(rows) + 2 * padded(rows.out);
  }

  void add_slot(const LinearRows& rows, std::int64_t task, const Buffers& buffers,
                float* scratch) const {
    const std::int64_t slot = task / rows.slots.groups;
    const Range parts(rows.parts, rows.slots.slots, slot);
    const Range group(blocks(rows.out), rows.slots.groups, task % rows.slots.groups);
    const std::int64_t columns = (group.end - group.begin) * kBlock, k = padded(rows.in);
    const std::int64_t first = slot * padded(rows.out) + group.begin * kBlock;
    float* const right = scratch + rows.part_floats(rows.out);
    float* const sums = right + rows.part_floats(rows.in);
    float* const no_shift = sums + columns;
    float* const products = floats(buffers, weight) + first * k;
    double* const totals = doubles(buffers, bias) + first;
    std::fill_n(products, columns * k, 0.f);
    std::fill_n(totals, columns, 0.0);
    std::fill_n(no_shift, columns, 0.f);
    for (std::int64_t index = parts.begin; index < parts.end; ++index) {
      const Range part = rows.part(index);
      const int count = static_cast<int>(part.end - part.begin);
      const kernels::Columns gradient =
          copy_columns(floats(buffers, dy), rows.out, part, group, scratch);
      std::fill_n(sums, columns, 0.f);
      table().shift_columns({gradient, count, no_shift, nullptr, 0, sums});
      for (std::int64_t i = 0; i < columns; ++i) totals[i] += static_cast<double>(sums[i]);
      table().add_outer_products(
          {gradient, copy_columns(floats(buffers, x), rows.in, part, {0, blocks(rows.in)}, right),
           count, false, products, k});
    }
  }

  // One output's, over the slots in order.
  void finish(const LinearRows& rows, std::int64_t row, const Buffers& buffers, float* dweight,
              float* dbias) const {
    const std::int64_t o = padded(rows.out), k = padded(rows.in);
    std::vector<double> totals(static_cast<std::size_t>(rows.in));
    double total = 0.0;
    for (std::int64_t slot = 0; slot < rows.slots.slots; ++slot) {
      const float* const from = floats(buffers, weight) + (slot * o + row) * k;
      kernels::vectorized([&, to = totals.data()]() MOBILEONE_INLINE_LAMBDA {
#pragma GCC ivdep
        for (std::int64_t i = 0; i < rows.in; ++i) to[i] += static_cast<double>(from[i]);
      });
      total += doubles(buffers, bias)[slot * o + row];
    }
    std::transform(totals.begin(), totals.end(), dweight + row * rows.in,
                   [](double value) { return static_cast<float>(value); });
    if (dbias) dbias[row] = static_cast<float>(total);
  }
};

void add_weight_gradient(const LinearRows& rows, const LoweredOp& op, ValueId x, ValueId dy,
                         PlanBuilder& builder) {
  const Node& node = builder.node(op.node);
  const bool bias = std::get<Linear>(node.op).bias;
  const ValueId dweight = builder.new_weight_gradient(op.node, node.name + ".weight");
  const ValueId dbias = bias ? builder.new_weight_gradient(op.node, node.name + ".bias") : -1;
  const WeightSums sums{
      x, dy, builder.new_temporary({rows.slots.slots, padded(rows.out), padded(rows.in)}),
      builder.new_temporary({rows.slots.slots, padded(rows.out)}, DType::float64)};
  const std::int64_t per_worker = WeightSums::scratch_floats(rows);
  const auto run = [=, pool = pool_of(builder)](const Buffers& buffers) {
    each(pool, rows.slots.tasks(), [&](std::int64_t task, int worker) {
      sums.add_slot(rows, task, buffers, scratch_of(worker, per_worker, buffers));
    });
    each(pool, rows.out, [&](std::int64_t row, int) {
      sums.finish(rows, row, buffers, floats(buffers, dweight),
                  bias ? floats(buffers, dbias) : nullptr);
    });
  };
  std::vector<ValueId> writes{dweight, sums.weight, sums.bias};
  if (bias) writes.push_back(dbias);
  builder.add_step(function_step(describe_backward(op, builder, "weight gradient", rows.macs()),
                                 run, scratch_bytes(builder, per_worker)),
                   {x, dy}, writes);
}

}  // namespace

void emit_linear_backward(const LinearRows& rows, const LoweredOp& op, ValueId x,
                          PlanBuilder& builder) {
  const NodeId source = builder.node(op.node).inputs[0];
  const ValueId dy = builder.gradient_of(op, Layout::nchw());
  add_weight_gradient(rows, op, x, dy, builder);
  if (!builder.wants_gradient(source)) return;
  const Operand weight = builder.weight(builder.node(op.node).name + ".weight");
  const RowProduct product{
      dy, builder.new_gradient(source, builder.value(x).layout), rows.out, rows.in, weight, false};
  add_product(rows, product, describe_backward(op, builder, "input gradient", rows.macs()),
              builder);
  builder.add_gradient(source, product.y);
}

}  // namespace mobileone::training
