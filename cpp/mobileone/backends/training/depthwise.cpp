#include "mobileone/backends/training/depthwise.hpp"

#include <algorithm>

#include "mobileone/backends/training/shift.hpp"

namespace mobileone::training {

namespace {

// A step of kernels, each with scratch of its own and so many multiply-adds per output.
template <typename Run>
void add_part(const Depthwise& d, const BranchSum& sum, PlanBuilder& builder, const char* name,
              std::int64_t macs_per_output, const std::vector<ValueId>& reads,
              const std::vector<ValueId>& writes, const Run& run) {
  const std::int64_t macs = d.images * d.channels * d.out_floats() / kBlock * macs_per_output;
  builder.add_step(function_step(describe_part(sum, builder, name, macs), run,
                                 scratch_bytes(builder, d.shape.scratch_floats())),
                   reads, writes);
}

void add_moments(const Depthwise& d, const BranchSum& sum, PlanBuilder& builder, ValueId sums) {
  const auto run = [=, pool = pool_of(builder)](const Buffers& buffers) {
    const float* const x = floats(buffers, d.x);
    float* const shift = floats(buffers, d.shift);
    const std::int64_t pixels = d.in_floats() / kBlock;
    each(pool, d.blocks(), [&](std::int64_t block, int) {
      sample_shift(x + block * d.in_floats(), d.images, d.blocks() * d.in_floats(), pixels,
                   shift + block * kBlock);
    });
    each(pool, d.images * d.blocks(), [&](std::int64_t task, int worker) {
      float* const to = floats(buffers, sums) + task * kMomentRows * kBlock;
      std::fill_n(to, kMomentRows * kBlock, 0.f);
      table().depthwise_moments({d.shape, x + task * d.in_floats(),
                                 shift + task % d.blocks() * kBlock, to,
                                 scratch_of(worker, d.shape.scratch_floats(), buffers)});
    });
  };
  add_part(d, sum, builder, "moments", kMomentRows, {d.x}, {d.shift, sums}, run);
}

void add_convolution(const Depthwise& d, const BranchSum& sum, PlanBuilder& builder) {
  const auto run = [=, pool = pool_of(builder)](const Buffers& buffers) {
    each(pool, d.images * d.blocks(), [&](std::int64_t task, int worker) {
      const std::int64_t block = task % d.blocks();
      table().depthwise_forward({d.shape, floats(buffers, d.x) + task * d.in_floats(),
                                 floats(buffers, d.weights) + block * kTaps * kBlock,
                                 floats(buffers, d.bias) + block * kBlock, d.floor,
                                 floats(buffers, d.y) + task * d.out_floats(),
                                 scratch_of(worker, d.shape.scratch_floats(), buffers)});
    });
  };
  add_part(d, sum, builder, "convolution", kTaps, {d.x, d.weights, d.bias}, {d.y}, run);
}

void add_weight_gradient(const Depthwise& d, const BranchSum& sum, PlanBuilder& builder, ValueId g,
                         ValueId sums) {
  const auto run = [=, pool = pool_of(builder)](const Buffers& buffers) {
    each(pool, d.images * d.blocks(), [&](std::int64_t task, int worker) {
      float* const to = floats(buffers, sums) + task * kGradientRows * kBlock;
      std::fill_n(to, kGradientRows * kBlock, 0.f);
      table().depthwise_weight_gradient({d.shape, floats(buffers, d.x) + task * d.in_floats(),
                                         floats(buffers, g) + task * d.out_floats(), to,
                                         scratch_of(worker, d.shape.scratch_floats(), buffers)});
    });
  };
  add_part(d, sum, builder, "weight gradient", kTaps, {d.x, g}, {sums}, run);
}

void add_input_gradient(const Depthwise& d, const BranchSum& sum, PlanBuilder& builder, ValueId g,
                        ValueId dx) {
  const auto run = [=, pool = pool_of(builder)](const Buffers& buffers) {
    each(pool, d.images * d.blocks(), [&](std::int64_t task, int worker) {
      const std::int64_t block = task % d.blocks();
      table().depthwise_input_gradient({d.shape, floats(buffers, d.x) + task * d.in_floats(),
                                        floats(buffers, g) + task * d.out_floats(),
                                        floats(buffers, d.weights) + block * kTaps * kBlock,
                                        floats(buffers, d.s) + block * kTaps * kTaps * kBlock,
                                        floats(buffers, d.constant) + block * kTaps * kBlock,
                                        floats(buffers, d.shift) + block * kBlock, d.masked,
                                        floats(buffers, dx) + task * d.in_floats(),
                                        scratch_of(worker, d.shape.scratch_floats(), buffers)});
    });
  };
  add_part(d, sum, builder, "input gradient", kTaps + kTaps * kTaps,
           {d.x, g, d.weights, d.s, d.constant, d.shift}, {dx}, run);
}

void emit_backward(Depthwise d, const BranchSum& sum, BranchOperands operands,
                   PlanBuilder& builder) {
  operands.add_gradients(sum, builder);
  const ValueId g = builder.gradient_of(sum.op, map_layout());
  const ValueId sums = builder.new_temporary({d.images, d.blocks(), kGradientRows, kBlock});
  const bool wanted = builder.wants_gradient(sum.input);
  if (wanted) {
    d.s = builder.new_temporary({d.blocks(), kTaps * kTaps, kBlock});
    d.constant = builder.new_temporary({d.blocks(), kTaps, kBlock});
  }
  add_weight_gradient(d, sum, builder, g, sums);
  add_gradient_algebra(d, sum, operands, builder, sums);
  if (!wanted) return;
  const ValueId dx = builder.new_gradient(sum.input, map_layout());
  add_input_gradient(d, sum, builder, g, dx);
  builder.add_gradient(sum.input, dx, d.masked);
}

}  // namespace

void emit_depthwise(const BranchSum& sum, PlanBuilder& builder) {
  Depthwise d;
  d.x = builder.in_layout(sum.input, map_layout());
  d.y = builder.new_result(sum.op.result, map_layout());
  const Shape& in = builder.shape(sum.input);
  d.shape = {static_cast<int>(in[2]), static_cast<int>(in[3]),
             static_cast<int>(sum.merged.stride[0])};
  d.images = in[0];
  d.channels = in[1];
  d.count = static_cast<double>(d.images * d.out_floats() / kBlock);
  d.floor = floor_of(sum);
  d.masked = masks_input(sum, builder);
  d.shift = builder.new_temporary({padded(d.channels)});
  d.weights = builder.new_temporary({d.blocks(), kTaps, kBlock});
  d.bias = builder.new_temporary({padded(d.channels)});
  d.moments = builder.new_temporary({d.blocks(), kTaps + kTaps * kTaps, kBlock}, DType::float64);
  const ValueId sums = builder.new_temporary({d.images, d.blocks(), kMomentRows, kBlock});
  const BranchOperands operands(sum, builder);
  add_moments(d, sum, builder, sums);
  add_algebra(d, sum, operands, builder, sums);
  add_convolution(d, sum, builder);
  if (builder.wants_gradient(sum.op.result)) {
    builder.on_backward([=, &builder] { emit_backward(d, sum, operands, builder); });
  }
}

}  // namespace mobileone::training
