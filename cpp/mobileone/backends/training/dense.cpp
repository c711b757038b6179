#include "mobileone/backends/training/dense.hpp"

#include <algorithm>
#include <limits>
#include <memory>

#include "mobileone/backends/training/dense_sums.hpp"
#include "mobileone/backends/training/shift.hpp"

namespace mobileone::training {

Dense::Dense(const BranchSum& sum, PlanBuilder& builder)
    : patches(sum.merged, builder.value(builder.value_of(sum.input)), builder.shape(sum.op.result)),
      outputs(sum.merged.out_channels),
      num_branches(static_cast<std::int64_t>(sum.branches.size())),
      centre(sum.centre()),
      count(0),
      floor(floor_of(sum)),
      masked(masks_input(sum, builder) && patches.pixelwise()),
      gram_slots(1, 1, 1),
      gradient_slots(1, 1, 1),
      x(builder.value_of(sum.input)) {
  // An image's planes are read as they are by whoever copies patches.
  const bool planes = builder.value(x).layout == Layout::nchw() && !patches.pixelwise() &&
                      !builder.wants_gradient(sum.input);
  if (!planes) {
    x = builder.in_layout(sum.input, map_layout());
    patches =
        Patches(sum.merged, {builder.shape(sum.input), map_layout()}, builder.shape(sum.op.result));
  }
  count = static_cast<double>(patches.count());
  const std::int64_t k = tap_blocks() * kBlock, o = output_blocks() * kBlock;
  gram_slots = Slots(patches.images(), k * k, tap_blocks());
  gradient_slots = Slots(patches.images(), o * k, output_blocks());
  y = builder.new_result(sum.op.result, map_layout());
  shift = builder.new_temporary({k});
  sums = builder.new_temporary({gram_slots.slots, k});
  gram = builder.new_temporary({gram_slots.slots, k, k});
  mean = builder.new_temporary({k}, DType::float64);
  diagonal = builder.new_temporary({k}, DType::float64);
  covariance = builder.new_temporary({k, k});
  branch_weights = builder.new_temporary({num_branches, branch_floats()});
  mapped = builder.new_temporary({num_branches, branch_floats()});
  norms = builder.new_temporary({num_branches, outputs, 2}, DType::float64);
  merged = builder.new_temporary({outputs, k});
  panels = builder.new_temporary({k, o});
  bias = builder.new_temporary({o});
}

kernels::Columns Dense::branch_columns(const float* data, std::int64_t branch,
                                       std::int64_t first) const {
  return {data + branch * branch_floats() + first * kBlock, outputs * kBlock,
          static_cast<int>(tap_blocks())};
}

void add_moments(const Dense& d, const BranchSum& sum, PlanBuilder& builder) {
  const std::int64_t k = d.tap_blocks() * kBlock;
  const std::int64_t per_worker = moment_scratch_floats(d.patches);
  const auto run = [=, pool = pool_of(builder)](const Buffers& buffers) {
    const float* const x = floats(buffers, d.x);
    float* const shift = floats(buffers, d.shift);
    if (d.patches.in_place()) {
      each(pool, d.tap_blocks(), [&](std::int64_t block, int) {
        sample_shift(x + block * d.patches.pixels() * kBlock, d.patches.images(),
                     d.patches.image_floats(), d.patches.pixels(), shift + block * kBlock);
      });
    } else {
      d.patches.sample_shift(x, shift, pool);
    }
    sum_moments(d.patches, d.gram_slots,
                {x, shift, floats(buffers, d.sums), floats(buffers, d.gram)}, pool,
                [&](int worker) { return scratch_of(worker, per_worker, buffers); });
  };
  const std::int64_t macs = d.patches.count() * k * (k + kBlock) / 2;
  builder.add_step(function_step(describe_part(sum, builder, "moments", macs), run,
                                 scratch_bytes(builder, per_worker)),
                   {d.x}, {d.shift, d.sums, d.gram});
}

void add_convolution(const Dense& d, const BranchSum& sum, PlanBuilder& builder) {
  const std::int64_t per_worker = d.patches.scratch_floats();
  const auto run = [=, pool = pool_of(builder)](const Buffers& buffers) {
    each(pool, d.patches.images() * d.patches.parts(), [&](std::int64_t task, int worker) {
      const std::int64_t image = task / d.patches.parts();
      const Range part = d.patches.part(task % d.patches.parts());
      float* const scratch = scratch_of(worker, per_worker, buffers);
      const std::int64_t y_block = d.patches.pixels() * kBlock;
      kernels::Product product;
      product.terms[0] = {d.patches.read(floats(buffers, d.x), image, part, scratch),
                          floats(buffers, d.panels)};
      product.rows = static_cast<int>(part.end - part.begin);
      product.n_blocks = static_cast<int>(d.output_blocks());
      product.bias = floats(buffers, d.bias);
      product.floor = d.floor;
      product.y = floats(buffers, d.y) + image * d.output_blocks() * y_block + part.begin * kBlock;
      product.y_block = y_block;
      table().multiply(product);
    });
  };
  const std::int64_t macs = d.patches.count() * d.taps() * d.outputs;
  builder.add_step(function_step(describe_part(sum, builder, "convolution", macs), run,
                                 scratch_bytes(builder, per_worker)),
                   {d.x, d.panels, d.bias}, {d.y});
}

void emit_dense(const BranchSum& sum, PlanBuilder& builder) {
  const Dense d(sum, builder);
  const BranchOperands operands(sum, builder);
  add_moments(d, sum, builder);
  add_covariance(d, sum, builder);
  add_algebra(d, sum, operands, builder);
  add_convolution(d, sum, builder);
  if (builder.wants_gradient(sum.op.result)) {
    builder.on_backward([=, &builder] { emit_backward(d, sum, operands, builder); });
  }
}

}  // namespace mobileone::training
