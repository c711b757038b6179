// A sum of depthwise branches by the moments of each channel's 3 x 3 patches.
#include <array>
#include <vector>

#include "mobileone/backends/training/merged_convolution.hpp"
#include "mobileone/backends/training/shift.hpp"
#include "mobileone/backends/training/statistics.hpp"

namespace mobileone::training {

namespace {

constexpr std::int64_t kTaps = kernels::kTaps;
constexpr std::int64_t kMomentRows = kTaps + kernels::kTapPairs;  // of a block's sums
constexpr std::int64_t kGradientRows = kTaps + 1;
using Patch = std::array<double, kTaps>;
using Matrix = std::array<double, kTaps * kTaps>;

// Sizes, and the values that the steps hand to one another. Sums are one per image and block, added
// up in the order of images.
struct Depthwise {
  kernels::DepthwiseTraining shape;
  std::int64_t images, channels;
  double count;  // patches
  float floor;
  bool masked;
  ValueId x, y;
  ValueId shift, weights, bias;   // [16 blocks], [blocks][9][16], [16 blocks]
  ValueId moments;                // float64 [channels][9 + 81]: mean and covariance of patches
  ValueId s = -1, constant = -1;  // [blocks][81][16], [blocks][9][16]

  std::int64_t blocks() const { return training::blocks(channels); }
  std::int64_t in_floats() const { return std::int64_t{shape.height} * shape.width * kBlock; }
  std::int64_t out_floats() const {
    return std::int64_t{shape.out_height()} * shape.out_width() * kBlock;
  }
};

// sums[image][block][row][lane] over images, of a channel.
template <std::size_t kRows>
std::array<double, kRows> total(const Depthwise& d, const float* sums, std::int64_t channel) {
  std::array<double, kRows> result{};
  for (std::int64_t image = 0; image < d.images; ++image) {
    const float* const from =
        sums + (image * d.blocks() + channel / kBlock) * static_cast<std::int64_t>(kRows) * kBlock +
        channel % kBlock;
    for (std::size_t row = 0; row < kRows; ++row) {
      result[row] += static_cast<double>(from[static_cast<std::int64_t>(row) * kBlock]);
    }
  }
  return result;
}

// A branch's weights for a channel, in the merged kernel.
Patch weights_of(const Depthwise&, const BranchOperands::One& branch, const Buffers& buffers,
                 std::int64_t channel) {
  Patch w{};
  if (branch.identity()) {
    w[kTaps / 2] = 1.0;
    return w;
  }
  const auto taps = static_cast<std::int64_t>(branch.taps.size());
  const float* const from = branch.weight.address(buffers) + channel * taps;
  for (std::int64_t t = 0; t < taps; ++t) {
    w[static_cast<std::size_t>(branch.taps[static_cast<std::size_t>(t)])] =
        static_cast<double>(from[t]);
  }
  return w;
}

double dot(const Patch& a, const double* b) {
  double sum = 0.0;
  for (std::size_t t = 0; t < kTaps; ++t) sum += a[t] * b[t];
  return sum;
}

Patch times(const double* covariance, const Patch& w) {
  Patch result;
  for (std::size_t t = 0; t < kTaps; ++t) result[t] = dot(w, covariance + t * kTaps);
  return result;
}

ChannelNorm norm_of(const BranchOperands::One& branch, const Buffers& buffers, const Patch& w,
                    const double* mean, const Patch& mapped, std::int64_t channel) {
  return {dot(w, mean), dot(w, mapped.data()),
          static_cast<double>(branch.gamma.address(buffers)[channel]), branch.eps};
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
      table().depthwise_moments(
          {d.shape, x + task * d.in_floats(), shift + task % d.blocks() * kBlock, to,
           reinterpret_cast<float*>(buffers.scratch()) + worker * d.shape.scratch_floats()});
    });
  };
  const std::int64_t macs = d.images * d.channels * d.out_floats() / kBlock * kMomentRows;
  builder.add_step(
      function_step(describe_part(sum, builder, "moments", macs), run,
                    static_cast<std::size_t>(builder.options().threads) *
                        static_cast<std::size_t>(d.shape.scratch_floats()) * sizeof(float)),
      {d.x}, {d.shift, sums});
}

// Moments of a channel from sums of shifted taps and of their products.
void moments_of(const Depthwise& d, const float* sums, double shift, std::int64_t channel,
                double* mean, double* covariance) {
  const auto sum = total<kMomentRows>(d, sums, channel);
  Patch offset;
  for (std::size_t t = 0; t < kTaps; ++t) {
    offset[t] = sum[t] / d.count;
    mean[t] = shift + offset[t];
  }
  std::size_t pair = kTaps;
  for (std::size_t t = 0; t < kTaps; ++t) {
    for (std::size_t other = t; other < kTaps; ++other, ++pair) {
      const double value = sum[pair] / d.count - offset[t] * offset[other];
      covariance[t * kTaps + other] = covariance[other * kTaps + t] = value;
    }
  }
}

void add_algebra(const Depthwise& d, const BranchSum& sum, const BranchOperands& operands,
                 PlanBuilder& builder, ValueId sums) {
  const auto run = [=, pool = pool_of(builder)](const Buffers& buffers) {
    each(pool, d.blocks(), [&](std::int64_t block, int) {
      float* const weights = floats(buffers, d.weights) + block * kTaps * kBlock;
      float* const bias = floats(buffers, d.bias) + block * kBlock;
      std::fill_n(weights, kTaps * kBlock, 0.f);
      std::fill_n(bias, kBlock, 0.f);
      for (std::int64_t lane = 0; lane < std::min(kBlock, d.channels - block * kBlock); ++lane) {
        const std::int64_t channel = block * kBlock + lane;
        double* const mean = doubles(buffers, d.moments) + channel * (kTaps + kTaps * kTaps);
        double* const covariance = mean + kTaps;
        moments_of(d, floats(buffers, sums), static_cast<double>(floats(buffers, d.shift)[channel]),
                   channel, mean, covariance);
        Patch merged{};
        double constant = 0.0;
        for (const BranchOperands::One& branch : operands.branches) {
          const Patch w = weights_of(d, branch, buffers, channel);
          const ChannelNorm norm = norm_of(branch, buffers, w, mean, times(covariance, w), channel);
          for (std::size_t t = 0; t < kTaps; ++t) merged[t] += norm.scale() * w[t];
          constant +=
              static_cast<double>(branch.beta.address(buffers)[channel]) - norm.scale() * norm.mean;
          floats(buffers, branch.mean)[channel] = static_cast<float>(norm.mean);
          floats(buffers, branch.variance)[channel] =
              static_cast<float>(std::max(norm.variance, 0.0));
        }
        for (std::size_t t = 0; t < kTaps; ++t) {
          weights[static_cast<std::int64_t>(t) * kBlock + lane] = static_cast<float>(merged[t]);
        }
        bias[lane] = static_cast<float>(constant);
      }
    });
  };
  std::vector<ValueId> reads = operands.weights(), writes = operands.statistics();
  reads.insert(reads.end(), {sums, d.shift});
  writes.insert(writes.end(), {d.weights, d.bias, d.moments});
  builder.add_step(function_step(describe_part(sum, builder, "algebra", 0), run), reads, writes);
}

void add_convolution(const Depthwise& d, const BranchSum& sum, PlanBuilder& builder) {
  const auto run = [=, pool = pool_of(builder)](const Buffers& buffers) {
    each(pool, d.images * d.blocks(), [&](std::int64_t task, int worker) {
      const std::int64_t block = task % d.blocks();
      table().depthwise_forward(
          {d.shape, floats(buffers, d.x) + task * d.in_floats(),
           floats(buffers, d.weights) + block * kTaps * kBlock,
           floats(buffers, d.bias) + block * kBlock, d.floor,
           floats(buffers, d.y) + task * d.out_floats(),
           reinterpret_cast<float*>(buffers.scratch()) + worker * d.shape.scratch_floats()});
    });
  };
  const std::int64_t macs = d.images * d.channels * d.out_floats() / kBlock * kTaps;
  builder.add_step(
      function_step(describe_part(sum, builder, "convolution", macs), run,
                    static_cast<std::size_t>(builder.options().threads) *
                        static_cast<std::size_t>(d.shape.scratch_floats()) * sizeof(float)),
      {d.x, d.weights, d.bias}, {d.y});
}

void add_weight_gradient(const Depthwise& d, const BranchSum& sum, PlanBuilder& builder, ValueId g,
                         ValueId sums) {
  const auto run = [=, pool = pool_of(builder)](const Buffers& buffers) {
    each(pool, d.images * d.blocks(), [&](std::int64_t task, int worker) {
      float* const to = floats(buffers, sums) + task * kGradientRows * kBlock;
      std::fill_n(to, kGradientRows * kBlock, 0.f);
      table().depthwise_weight_gradient(
          {d.shape, floats(buffers, d.x) + task * d.in_floats(),
           floats(buffers, g) + task * d.out_floats(), to,
           reinterpret_cast<float*>(buffers.scratch()) + worker * d.shape.scratch_floats()});
    });
  };
  const std::int64_t macs = d.images * d.channels * d.out_floats() / kBlock * kTaps;
  builder.add_step(
      function_step(describe_part(sum, builder, "weight gradient", macs), run,
                    static_cast<std::size_t>(builder.options().threads) *
                        static_cast<std::size_t>(d.shape.scratch_floats()) * sizeof(float)),
      {d.x, g}, {sums});
}

// The gradients of one channel's weights and norms; what flows back to its moments.
void gradients_of(const Depthwise& d, const BranchOperands& operands, const Buffers& buffers,
                  const float* sums, std::int64_t channel, Patch& dmean, Matrix& dcovariance) {
  const double* const mean = doubles(buffers, d.moments) + channel * (kTaps + kTaps * kTaps);
  const auto gradient = total<kGradientRows>(d, sums, channel);
  const double dbias = gradient[kTaps];
  for (const BranchOperands::One& branch : operands.branches) {
    const Patch w = weights_of(d, branch, buffers, channel);
    const Patch mapped = times(mean + kTaps, w);
    const ChannelNorm norm = norm_of(branch, buffers, w, mean, mapped, channel);
    const ChannelGradient back(norm, dot(w, gradient.data()), dbias);
    floats(buffers, branch.dgamma)[channel] = static_cast<float>(back.gamma);
    floats(buffers, branch.dbeta)[channel] = static_cast<float>(dbias);
    for (std::size_t i = 0; i < branch.taps.size(); ++i) {
      const auto t = static_cast<std::size_t>(branch.taps[i]);
      const double value =
          norm.scale() * gradient[t] - back.offset * mean[t] + 2.0 * back.variance * mapped[t];
      floats(buffers, branch.dweight)[static_cast<std::size_t>(channel) * branch.taps.size() + i] =
          static_cast<float>(value);
    }
    for (std::size_t t = 0; t < kTaps; ++t) {
      dmean[t] -= back.offset * w[t];
      for (std::size_t other = 0; other < kTaps; ++other) {
        dcovariance[t * kTaps + other] += back.variance * w[t] * w[other];
      }
    }
  }
}

void add_gradient_algebra(const Depthwise& d, const BranchSum& sum, const BranchOperands& operands,
                          PlanBuilder& builder, ValueId sums) {
  const auto run = [=, pool = pool_of(builder)](const Buffers& buffers) {
    each(pool, d.blocks(), [&](std::int64_t block, int) {
      for (std::int64_t lane = 0; lane < kBlock; ++lane) {
        const std::int64_t channel = block * kBlock + lane;
        Patch dmean{};
        Matrix dcovariance{};
        Patch constant{};
        if (channel < d.channels) {
          gradients_of(d, operands, buffers, floats(buffers, sums), channel, dmean, dcovariance);
          // The patches' gradient 2 dC (patch - mean) / M + dm / M, of patches less the shift.
          const double* const mean =
              doubles(buffers, d.moments) + channel * (kTaps + kTaps * kTaps);
          const auto shift = static_cast<double>(floats(buffers, d.shift)[channel]);
          for (double& value : dcovariance) value *= 2.0 / d.count;
          for (std::size_t t = 0; t < kTaps; ++t) {
            constant[t] = dmean[t] / d.count;
            for (std::size_t other = 0; other < kTaps; ++other) {
              constant[t] += dcovariance[t * kTaps + other] * (shift - mean[other]);
            }
          }
        }
        if (d.s < 0) continue;
        float* const s = floats(buffers, d.s) + block * kTaps * kTaps * kBlock + lane;
        float* const c = floats(buffers, d.constant) + block * kTaps * kBlock + lane;
        for (std::size_t i = 0; i < dcovariance.size(); ++i) {
          s[static_cast<std::int64_t>(i) * kBlock] = static_cast<float>(dcovariance[i]);
        }
        for (std::size_t t = 0; t < kTaps; ++t) {
          c[static_cast<std::int64_t>(t) * kBlock] = static_cast<float>(constant[t]);
        }
      }
    });
  };
  std::vector<ValueId> reads = operands.weights(), writes = operands.gradients();
  reads.insert(reads.end(), {sums, d.shift, d.moments});
  if (d.s >= 0) writes.insert(writes.end(), {d.s, d.constant});
  builder.add_step(function_step(describe_part(sum, builder, "gradient algebra", 0), run), reads,
                   writes);
}

void add_input_gradient(const Depthwise& d, const BranchSum& sum, PlanBuilder& builder, ValueId g,
                        ValueId dx) {
  const auto run = [=, pool = pool_of(builder)](const Buffers& buffers) {
    each(pool, d.images * d.blocks(), [&](std::int64_t task, int worker) {
      const std::int64_t block = task % d.blocks();
      table().depthwise_input_gradient(
          {d.shape, floats(buffers, d.x) + task * d.in_floats(),
           floats(buffers, g) + task * d.out_floats(),
           floats(buffers, d.weights) + block * kTaps * kBlock,
           floats(buffers, d.s) + block * kTaps * kTaps * kBlock,
           floats(buffers, d.constant) + block * kTaps * kBlock,
           floats(buffers, d.shift) + block * kBlock, d.masked,
           floats(buffers, dx) + task * d.in_floats(),
           reinterpret_cast<float*>(buffers.scratch()) + worker * d.shape.scratch_floats()});
    });
  };
  const std::int64_t macs =
      d.images * d.channels * d.out_floats() / kBlock * (kTaps + kTaps * kTaps);
  builder.add_step(
      function_step(describe_part(sum, builder, "input gradient", macs), run,
                    static_cast<std::size_t>(builder.options().threads) *
                        static_cast<std::size_t>(d.shape.scratch_floats()) * sizeof(float)),
      {d.x, g, d.weights, d.s, d.constant, d.shift}, {dx});
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
  d.moments = builder.new_temporary({d.channels, kTaps + kTaps * kTaps}, DType::float64);
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
