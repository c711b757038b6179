#include <limits>

#include "mobileone/backends/training/dense.hpp"
#include "mobileone/backends/training/dense_sums.hpp"
#include "mobileone/backends/training/statistics.hpp"
#include "mobileone/kernels/vectorized.hpp"

namespace mobileone::training {

namespace {

constexpr std::int64_t kRows = 16;          // outputs whose gradients one task makes
constexpr std::int64_t kProductRows = 256;  // of a product that is summed in fp32

}  // namespace

// dW = g' patches and db, slot by slot.
void add_weight_gradient(const Dense& d, const BranchSum& sum, PlanBuilder& builder) {
  const Patches gradients(pixelwise(d.outputs), builder.value(d.g), builder.shape(sum.op.result),
                          d.patches.parts());
  const std::int64_t per_worker = gradient_scratch_floats(d.patches, gradients);
  const auto run = [=, pool = pool_of(builder)](const Buffers& buffers) {
    sum_weight_gradients(d.patches, gradients, d.gradient_slots,
                         {floats(buffers, d.x), floats(buffers, d.g), floats(buffers, d.dweight),
                          doubles(buffers, d.dbias)},
                         pool, [&](int worker) { return scratch_of(worker, per_worker, buffers); });
  };
  const std::int64_t macs = d.patches.count() * d.taps() * d.outputs;
  builder.add_step(function_step(describe_part(sum, builder, "weight gradient", macs), run,
                                 scratch_bytes(builder, per_worker)),
                   {d.x, d.g}, {d.dweight, d.dbias});
}

// dx = W' g + S x + constant, or the sum over the patches that x is in of the like.
void add_input_gradient(const Dense& d, const BranchSum& sum, PlanBuilder& builder, ValueId dx) {
  const std::int64_t per_worker = 2 * d.patches.scratch_floats();
  const auto patch_gradients = [=](const Buffers& buffers, std::int64_t image, Range part,
                                   float* scratch, float* to, std::int64_t block) {
    const std::int64_t g_block = d.patches.pixels() * kBlock;
    kernels::Product product;
    product.terms[0] = {
        {floats(buffers, d.g) + image * d.output_blocks() * g_block + part.begin * kBlock, g_block,
         static_cast<int>(d.output_blocks())},
        floats(buffers, d.w_panels)};
    if (d.s_panels >= 0) {
      product.num_terms = 2;
      product.terms[1] = {d.patches.read(floats(buffers, d.x), image, part, scratch),
                          floats(buffers, d.s_panels)};
    }
    product.rows = static_cast<int>(part.end - part.begin);
    product.n_blocks = static_cast<int>(d.tap_blocks());
    product.bias = floats(buffers, d.constant);
    product.floor = -std::numeric_limits<float>::infinity();
    if (d.masked) product.mask = d.patches.read(floats(buffers, d.x), image, part, scratch).data;
    product.y = to;
    product.y_block = block;
    table().multiply(product);
  };
  const auto run = [=, pool = pool_of(builder)](const Buffers& buffers) {
    float* const all = floats(buffers, dx);
    if (d.patches.in_place()) {
      each(pool, d.patches.images() * d.patches.parts(), [&](std::int64_t task, int worker) {
        const std::int64_t image = task / d.patches.parts();
        const Range part = d.patches.part(task % d.patches.parts());
        patch_gradients(buffers, image, part, scratch_of(worker, per_worker, buffers),
                        all + image * d.patches.image_floats() + part.begin * kBlock,
                        d.patches.pixels() * kBlock);
      });
      return;
    }
    each(pool, d.patches.images(), [&](std::int64_t image, int worker) {
      std::fill_n(all + image * d.patches.image_floats(), d.patches.image_floats(), 0.f);
      float* const gradients = scratch_of(worker, per_worker, buffers) + d.patches.scratch_floats();
      for (std::int64_t index = 0; index < d.patches.parts(); ++index) {
        const Range part = d.patches.part(index);
        patch_gradients(buffers, image, part, scratch_of(worker, per_worker, buffers), gradients,
                        d.patches.largest_part() * kBlock);
        d.patches.scatter(gradients, image, part, all);
      }
    });
  };
  const bool moments = d.s_panels >= 0;
  const std::int64_t macs = d.patches.count() * d.taps() * (d.outputs + (moments ? d.taps() : 0));
  std::vector<ValueId> reads{d.g, d.w_panels, d.constant};
  if (moments) reads.push_back(d.s_panels);
  if (moments || d.masked) reads.push_back(d.x);
  builder.add_step(function_step(describe_part(sum, builder, "input gradient", macs), run,
                                 scratch_bytes(builder, per_worker)),
                   reads, {dx});
}

void emit_backward(Dense d, const BranchSum& sum, BranchOperands operands, PlanBuilder& builder) {
  const std::int64_t k = d.tap_blocks() * kBlock, o = d.output_blocks() * kBlock;
  operands.add_gradients(sum, builder);
  d.g = builder.gradient_of(sum.op, map_layout());
  d.dweight = builder.new_temporary({d.gradient_slots.slots, o, k});
  d.dbias = builder.new_temporary({d.gradient_slots.slots, o}, DType::float64);
  const bool wanted = builder.wants_gradient(sum.input);
  if (wanted) {
    d.scaled = builder.new_temporary({d.num_branches, d.branch_floats()});
    d.back = builder.new_temporary({d.num_branches, d.outputs, 2}, DType::float64);
    d.s = builder.new_temporary({k, k});
    d.dmean = builder.new_temporary({k}, DType::float64);
    d.s_panels = builder.new_temporary({k, k});
    d.w_panels = builder.new_temporary({o, k});
    d.constant = builder.new_temporary({k});
  }
  add_weight_gradient(d, sum, builder);
  add_gradient_algebra(d, sum, operands, builder);
  if (!wanted) return;
  add_moment_gradient(d, sum, builder);
  const ValueId dx = builder.new_gradient(sum.input, map_layout());
  add_input_gradient(d, sum, builder, dx);
  builder.add_gradient(sum.input, dx, d.masked);
}

// Of every branch's weights and norms; and of the norms' statistics, for the moments.
void add_gradient_algebra(const Dense& d, const BranchSum& sum, const BranchOperands& operands,
                          PlanBuilder& builder) {
  const std::int64_t k = d.tap_blocks() * kBlock, o = d.output_blocks() * kBlock;
  const std::int64_t tasks = (d.outputs + kRows - 1) / kRows;
  const auto run = [=, pool = pool_of(builder)](const Buffers& buffers) {
    each(pool, tasks, [&](std::int64_t task, int) {
      std::vector<double> gradient(static_cast<std::size_t>(k));
      const Range rows(d.outputs, tasks, task);
      for (std::int64_t row = rows.begin; row < rows.end; ++row) {
        std::fill(gradient.begin(), gradient.end(), 0.0);
        double* const sums = gradient.data();
        double bias = 0.0;
        for (std::int64_t slot = 0; slot < d.gradient_slots.slots; ++slot) {
          const float* const part = floats(buffers, d.dweight) + (slot * o + row) * k;
          kernels::vectorized([&]() MOBILEONE_INLINE_LAMBDA {
#pragma GCC ivdep
            for (std::int64_t t = 0; t < k; ++t) sums[t] += static_cast<double>(part[t]);
          });
          bias += doubles(buffers, d.dbias)[slot * o + row];
        }
        for (std::int64_t index = 0; index < d.num_branches; ++index) {
          branch_gradient(d, operands, index, row, gradient, bias, buffers);
        }
      }
    });
  };
  std::vector<ValueId> reads = operands.weights(), writes = operands.gradients();
  reads.insert(reads.end(), {d.dweight, d.dbias, d.branch_weights, d.mapped, d.norms, d.mean});
  if (d.scaled >= 0) writes.insert(writes.end(), {d.scaled, d.back});
  builder.add_step(function_step(describe_part(sum, builder, "gradient algebra", 0), run), reads,
                   writes);
}

// S = 2 dC / M with dC = sum of w' dvar w over outputs and branches, dm, and what follows from them
// and W for the input's gradient.
void add_moment_gradient(const Dense& d, const BranchSum& sum, PlanBuilder& builder) {
  const std::int64_t k = d.tap_blocks() * kBlock;
  std::vector<bool> identity;
  for (const Branch& branch : sum.branches) identity.push_back(branch.conv < 0);
  const auto run = [=, pool = pool_of(builder)](const Buffers& buffers) {
    const double* const back = doubles(buffers, d.back);
    each(pool, d.tap_blocks(), [&](std::int64_t block, int) {
      float* const s = floats(buffers, d.s) + block * kBlock * k;
      double* const dmean = doubles(buffers, d.dmean) + block * kBlock;
      std::fill_n(s, kBlock * k, 0.f);
      std::fill_n(dmean, kBlock, 0.0);
      for (std::int64_t index = 0; index < d.num_branches; ++index) {
        const double* const rows = back + index * d.outputs * 2;
        if (identity[static_cast<std::size_t>(index)]) continue;
        for (std::int64_t first = 0; first < d.outputs; first += kProductRows) {
          kernels::Columns left = d.branch_columns(floats(buffers, d.branch_weights), index, first);
          left.data += block * left.block;
          left.blocks = 1;
          table().add_outer_products(
              {left, d.branch_columns(floats(buffers, d.scaled), index, first),
               static_cast<int>(std::min(kProductRows, d.outputs - first)), false, s, k});
        }
        const float* const weights = floats(buffers, d.branch_weights) + index * d.branch_floats() +
                                     block * d.outputs * kBlock;
        kernels::vectorized([&]() MOBILEONE_INLINE_LAMBDA {
          for (std::int64_t row = 0; row < d.outputs; ++row) {
            for (std::int64_t c = 0; c < kBlock; ++c) {
              dmean[c] -= rows[2 * row + 1] * static_cast<double>(weights[row * kBlock + c]);
            }
          }
        });
      }
      const auto factor = static_cast<float>(2.0 / d.count);
      for (std::int64_t i = 0; i < kBlock * k; ++i) s[i] *= factor;
    });
    for (std::int64_t index = 0; index < d.num_branches; ++index) {
      if (!identity[static_cast<std::size_t>(index)]) continue;
      for (std::int64_t row = 0; row < d.outputs; ++row) {
        const std::int64_t tap = row * (d.taps() / d.outputs) + d.centre;
        const double* const values = back + (index * d.outputs + row) * 2;
        floats(buffers, d.s)[tap * k + tap] += static_cast<float>(2.0 * values[0] / d.count);
        doubles(buffers, d.dmean)[tap] -= values[1];
      }
    }
    each(pool, panel_count(d.taps()), [&](std::int64_t panel, int) {
      const float* const s = floats(buffers, d.s);
      const float* const merged = floats(buffers, d.merged);
      pack_panel(
          panel, d.taps(), d.taps(), [&](std::int64_t i, std::int64_t j) { return s[i * k + j]; },
          floats(buffers, d.s_panels));
      pack_panel(
          panel, d.outputs, d.taps(),
          [&](std::int64_t row, std::int64_t tap) { return merged[row * k + tap]; },
          floats(buffers, d.w_panels));
    });
    each(pool, d.tap_blocks(), [&](std::int64_t block, int) {
      for (std::int64_t tap = block * kBlock; tap < (block + 1) * kBlock; ++tap) {
        double value = doubles(buffers, d.dmean)[tap] / d.count;
        const float* const row = floats(buffers, d.s) + tap * k;
        for (std::int64_t i = 0; i < d.taps(); ++i) {
          value -= static_cast<double>(row[i]) * doubles(buffers, d.mean)[i];
        }
        floats(buffers, d.constant)[tap] = tap < d.taps() ? static_cast<float>(value) : 0.f;
      }
    });
  };
  builder.add_step(
      function_step(
          describe_part(sum, builder, "moment gradient", d.num_branches * d.outputs * k * k), run),
      {d.branch_weights, d.scaled, d.back, d.merged, d.mean},
      {d.s, d.dmean, d.s_panels, d.w_panels, d.constant});
}

}  // namespace mobileone::training
