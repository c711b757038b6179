// Depthwise sums as one convolution of 9 taps, merged in float64: their weights are few.
#include <algorithm>
#include <limits>

#include "mobileone/backends/single_run/support.hpp"

namespace mobileone::single_run {

namespace {

constexpr std::int64_t kTaps = kernels::kTaps;

struct Part {
  const float* weight;  // null: the input itself
  std::vector<std::int64_t> taps;
  BranchNorm norm;
};

std::vector<Part> parts_of(const BranchSum& sum, const PlanBuilder& builder) {
  std::vector<Part> parts;
  for (const Branch& branch : sum.branches) {
    const float* const weight = branch.conv < 0 ? nullptr : float_weight(branch.conv, builder);
    parts.push_back({weight, weight ? branch.taps : std::vector{sum.centre()},
                     BranchNorm(branch, sum.merged.out_channels, builder)});
  }
  return parts;
}

// [9][16] of 16 channels, and their biases.
struct MergedTaps {
  float weights[kTaps * kBlock], bias[kBlock];

  MergedTaps(const std::vector<Part>& parts, std::int64_t block) {
    double w[kTaps * kBlock] = {}, b[kBlock] = {};
    for (const Part& part : parts) {
      const BlockNorm norm(part.norm, block);
      const std::int64_t count = std::min(kBlock, part.norm.channels - block * kBlock);
      const auto taps = static_cast<std::int64_t>(part.taps.size());
      const float* const from = part.weight ? part.weight + block * kBlock * taps : nullptr;
      for (std::int64_t c = 0; c < kBlock; ++c)
        b[c] += norm.shift[c] - norm.scale[c] * norm.mean[c];
      for (std::int64_t i = 0; i < taps; ++i) {
        double* const to = w + part.taps[static_cast<std::size_t>(i)] * kBlock;
        for (std::int64_t c = 0; c < count; ++c) {
          to[c] += norm.scale[c] * (from ? static_cast<double>(from[c * taps + i]) : 1.0);
        }
      }
    }
    std::transform(std::begin(w), std::end(w), weights,
                   [](double x) { return static_cast<float>(x); });
    std::transform(std::begin(b), std::end(b), bias,
                   [](double x) { return static_cast<float>(x); });
  }
};

}  // namespace

bool emit_depthwise(const BranchSum& sum, PlanBuilder& builder) {
  const std::int64_t channels = sum.merged.out_channels;
  const auto activation = kernel_activation(sum.op.activation);
  // Padding channels stay zeros.
  const bool keeps_zero =
      !sum.op.activation || mobileone::activation(*sum.op.activation).value(0.0) == 0.0;
  if (!activation || (!keeps_zero && channels % kBlock != 0)) return false;
  const Shape& in = builder.shape(sum.input);
  const kernels::DepthwiseTraining shape{static_cast<int>(in[2]), static_cast<int>(in[3]),
                                         static_cast<int>(sum.merged.stride[0])};
  const std::int64_t in_floats = in[2] * in[3] * kBlock;
  const std::int64_t out_floats = std::int64_t{shape.out_height()} * shape.out_width() * kBlock;
  const std::int64_t count = blocks(channels), images = in[0];
  const ValueId x = builder.in_layout(sum.input, map_layout());
  const ValueId y = builder.new_result(sum.op.result, map_layout());
  const bool floor_only = kernels::is_floor(*activation);
  const float floor =
      *activation == kernels::Activation::kRelu ? 0.f : -std::numeric_limits<float>::infinity();
  const auto run = [=, parts = parts_of(sum, builder), kind = *activation,
                    pool = pool_of(builder)](const Buffers& buffers) {
    each(pool, count, [&](std::int64_t block, int worker) {
      const MergedTaps taps(parts, block);
      float* const scratch = scratch_of(worker, shape.scratch_floats(), buffers);
      for (std::int64_t map = block; map < images * count; map += count) {
        float* const to = floats(buffers, y) + map * out_floats;
        table().depthwise_forward({shape, floats(buffers, x) + map * in_floats, taps.weights,
                                   taps.bias, floor, to, scratch});
        if (!floor_only) table().finish(kind, nullptr, to, out_floats);
      }
    });
  };
  builder.add_step(function_step(describe_sum(sum, builder), run,
                                 scratch_bytes(builder, shape.scratch_floats())),
                   {x}, {y});
  return true;
}

}  // namespace mobileone::single_run
