// Depthwise sums as one convolution of 9 taps, merged in float64: their weights are few.
#include <limits>

#include "mobileone/backends/training/single_run.hpp"

namespace mobileone::training {

namespace {

constexpr std::int64_t kTaps = kernels::kTaps;

struct MergedTaps {
  std::vector<float> weights, bias;  // [blocks][9][16], [16 blocks]
};

MergedTaps merge(const BranchSum& sum, const PlanBuilder& builder) {
  const std::int64_t channels = sum.merged.out_channels;
  const auto size = static_cast<std::size_t>(padded(channels));
  std::vector<double> weights(size * static_cast<std::size_t>(kTaps)), bias(size);
  for (const Branch& branch : sum.branches) {
    const ChannelNorms norms = norms_of(branch, channels, builder);
    const float* w =
        branch.conv < 0
            ? nullptr
            : builder.network().weight(builder.node(branch.conv).name + ".weight").f32();
    for (std::int64_t c = 0; c < channels; ++c) {
      const auto at = static_cast<std::size_t>(c);
      const double scale = static_cast<double>(norms.scale[at]);
      bias[at] +=
          static_cast<double>(norms.shift[at]) - scale * static_cast<double>(norms.mean[at]);
      double* const to = weights.data() + c / kBlock * kTaps * kBlock + c % kBlock;
      if (!w) to[sum.centre() * kBlock] += scale;
      for (const std::int64_t tap : branch.taps) {
        to[tap * kBlock] += scale * static_cast<double>(*w++);
      }
    }
  }
  return {{weights.begin(), weights.end()}, {bias.begin(), bias.end()}};
}

}  // namespace

bool emit_single_depthwise(const BranchSum& sum, PlanBuilder& builder) {
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
  const auto run = [=, taps = merge(sum, builder), kind = *activation,
                    pool = pool_of(builder)](const Buffers& buffers) {
    each(pool, images * count, [&](std::int64_t task, int worker) {
      const std::int64_t block = task % count;
      float* const to = floats(buffers, y) + task * out_floats;
      table().depthwise_forward({shape, floats(buffers, x) + task * in_floats,
                                 taps.weights.data() + block * kTaps * kBlock,
                                 taps.bias.data() + block * kBlock, floor, to,
                                 scratch_of(worker, shape.scratch_floats(), buffers)});
      if (!floor_only) table().finish(kind, nullptr, to, out_floats);
    });
  };
  builder.add_step(function_step(describe_single(sum, builder), run,
                                 scratch_bytes(builder, shape.scratch_floats())),
                   {x}, {y});
  return true;
}

}  // namespace mobileone::training
