#include "mobileone/backends/training/planes.hpp"
#include "mobileone/backends/training/shift.hpp"

namespace mobileone::training {

namespace {

using kernels::kTapPairs;
using kernels::kTaps;

constexpr std::int64_t kMomentSums = kTaps + kTapPairs, kGradientSums = kTaps + 1;

std::int64_t pixels_of(const DepthwisePlanes& maps) {
  return std::int64_t{maps.shape.height} * maps.shape.width;
}

std::int64_t results_of(const DepthwisePlanes& maps) {
  return std::int64_t{maps.shape.out_height()} * maps.shape.out_width();
}

// 16 channels of an image: which, and where its planes lie.
struct Part {
  std::int64_t block;
  std::int64_t plane;  // index of its first among those of all images
  std::int64_t channels;

  kernels::Planes planes(std::int64_t pixels) const {
    return {static_cast<int>(channels), pixels, pixels};
  }
};

// task(part, index of the part, worker) for all.
template <typename Task>
void for_parts(const DepthwisePlanes& maps, ThreadPool* pool, const Task& task) {
  const std::int64_t blocks = training::blocks(maps.channels);
  each(pool, maps.images * blocks, [&](std::int64_t index, int worker) {
    const std::int64_t block = index % blocks;
    const Part part{block, index / blocks * maps.channels + block * kBlock,
                    std::min(kBlock, maps.channels - block * kBlock)};
    task(part, index, worker);
  });
}

// [blocks][rows][16] of [channels][rows], 0 beyond the last channel.
std::vector<float> by_block(const float* from, std::int64_t channels, std::int64_t rows) {
  std::vector<float> result(static_cast<std::size_t>(padded(channels) * rows));
  for (std::int64_t channel = 0; channel < channels; ++channel) {
    float* const to = result.data() + channel / kBlock * rows * kBlock + channel % kBlock;
    for (std::int64_t row = 0; row < rows; ++row) to[row * kBlock] = from[channel * rows + row];
  }
  return result;
}

// A channel's sums over images of [images][blocks][rows][16].
template <std::int64_t kRows>
void add_images(const DepthwisePlanes& maps, const std::vector<float>& found, std::int64_t channel,
                double (&totals)[kRows]) {
  const std::int64_t blocks = training::blocks(maps.channels);
  for (std::int64_t image = 0; image < maps.images; ++image) {
    const float* const from =
        found.data() + (image * blocks + channel / kBlock) * kRows * kBlock + channel % kBlock;
    for (std::int64_t i = 0; i < kRows; ++i) totals[i] += static_cast<double>(from[i * kBlock]);
  }
}

}  // namespace

void plane_moments(const DepthwisePlanes& maps, const float* x, float* mean, float* covariance,
                   ThreadPool* pool) {
  const std::int64_t pixels = pixels_of(maps), blocks = training::blocks(maps.channels);
  std::vector<float> shift(static_cast<std::size_t>(blocks * kBlock));
  each(pool, maps.channels, [&](std::int64_t channel, int) {
    shift[static_cast<std::size_t>(channel)] =
        sample_plane_shift(x + channel * pixels, maps.images, maps.channels * pixels, pixels, 1);
  });
  std::vector<float> found(static_cast<std::size_t>(maps.images * blocks * kMomentSums * kBlock));
  const WorkerScratch scratch(pixels * kBlock + maps.shape.scratch_floats(), pool);
  for_parts(maps, pool, [&](const Part& part, std::int64_t index, int worker) {
    float* const copy = scratch.of(worker);
    table().planes_to_block(part.planes(pixels), x + part.plane * pixels, copy);
    table().depthwise_moments({maps.shape, copy, shift.data() + part.block * kBlock,
                               found.data() + index * kMomentSums * kBlock,
                               copy + pixels * kBlock});
  });
  const auto count = static_cast<double>(maps.images * results_of(maps));
  each(pool, maps.channels, [&](std::int64_t channel, int) {
    double totals[kMomentSums] = {};
    add_images(maps, found, channel, totals);
    for (double& total : totals) total /= count;
    for (int t = 0; t < kTaps; ++t) {
      mean[channel * kTaps + t] = static_cast<float>(
          static_cast<double>(shift[static_cast<std::size_t>(channel)]) + totals[t]);
      for (int other = 0; other < kTaps; ++other) {
        const int pair = kernels::tap_pair(std::min(t, other), std::max(t, other));
        covariance[(channel * kTaps + t) * kTaps + other] =
            static_cast<float>(totals[kTaps + pair] - totals[t] * totals[other]);
      }
    }
  });
}

void plane_convolution(const DepthwisePlanes& maps, const PlaneConvolution& args,
                       ThreadPool* pool) {
  const std::int64_t pixels = pixels_of(maps), results = results_of(maps);
  const auto weights = by_block(args.weight, maps.channels, kTaps);
  const auto bias = by_block(args.bias, maps.channels, 1);
  const WorkerScratch scratch((pixels + results) * kBlock + maps.shape.scratch_floats(), pool);
  for_parts(maps, pool, [&](const Part& part, std::int64_t, int worker) {
    float* const copy = scratch.of(worker);
    float* const y = copy + pixels * kBlock;
    table().planes_to_block(part.planes(pixels), args.x + part.plane * pixels, copy);
    table().depthwise_forward({maps.shape, copy, weights.data() + part.block * kTaps * kBlock,
                               bias.data() + part.block * kBlock,
                               -std::numeric_limits<float>::infinity(), y, y + results * kBlock});
    table().block_to_planes(part.planes(results), y, nullptr, args.y + part.plane * results);
  });
}

void plane_weight_gradient(const DepthwisePlanes& maps, const PlaneWeightGradient& args,
                           ThreadPool* pool) {
  const std::int64_t pixels = pixels_of(maps), results = results_of(maps);
  const std::int64_t parts = maps.images * training::blocks(maps.channels);
  std::vector<float> found(static_cast<std::size_t>(parts * kGradientSums * kBlock));
  const WorkerScratch scratch((pixels + results) * kBlock + maps.shape.scratch_floats(), pool);
  for_parts(maps, pool, [&](const Part& part, std::int64_t index, int worker) {
    float* const copy = scratch.of(worker);
    float* const g = copy + pixels * kBlock;
    table().planes_to_block(part.planes(pixels), args.x + part.plane * pixels, copy);
    table().planes_to_block(part.planes(results), args.g + part.plane * results, g);
    table().depthwise_weight_gradient(
        {maps.shape, copy, g, found.data() + index * kGradientSums * kBlock, g + results * kBlock});
  });
  each(pool, maps.channels, [&](std::int64_t channel, int) {
    double totals[kGradientSums] = {};
    add_images(maps, found, channel, totals);
    std::copy_n(totals, kTaps, args.dweight + channel * kTaps);
    args.dbias[channel] = static_cast<float>(totals[kTaps]);
  });
}

void plane_input_gradient(const DepthwisePlanes& maps, const PlaneInputGradient& args,
                          ThreadPool* pool) {
  const std::int64_t pixels = pixels_of(maps), results = results_of(maps);
  const auto s = by_block(args.s, maps.channels, kTaps * kTaps);
  // The kernel subtracts one number of all taps: the centre's mean, the rest in the constants.
  std::vector<float> constants(static_cast<std::size_t>(maps.channels * kTaps));
  std::vector<float> shifts(static_cast<std::size_t>(maps.channels));
  each(pool, maps.channels, [&](std::int64_t channel, int) {
    const float* const mean = args.mean + channel * kTaps;
    const float shift = shifts[static_cast<std::size_t>(channel)] = mean[kTaps / 2];
    for (std::int64_t t = channel * kTaps; t < (channel + 1) * kTaps; ++t) {
      auto value = static_cast<double>(args.constant[t]);
      for (std::int64_t i = 0; i < kTaps; ++i) {
        value += static_cast<double>(args.s[t * kTaps + i]) *
                 (static_cast<double>(shift) - static_cast<double>(mean[i]));
      }
      constants[static_cast<std::size_t>(t)] = static_cast<float>(value);
    }
  });
  const auto constant = by_block(constants.data(), maps.channels, kTaps);
  const auto shift = by_block(shifts.data(), maps.channels, 1);
  const auto weights =
      args.g ? by_block(args.weight, maps.channels, kTaps)
             : std::vector<float>(static_cast<std::size_t>(padded(maps.channels) * kTaps));
  const std::vector<float> zeros(static_cast<std::size_t>(args.g ? 0 : results * kBlock));
  const WorkerScratch scratch((2 * pixels + results) * kBlock + maps.shape.scratch_floats(), pool);
  for_parts(maps, pool, [&](const Part& part, std::int64_t, int worker) {
    float* const copy = scratch.of(worker);
    float* const g = copy + 2 * pixels * kBlock;
    table().planes_to_block(part.planes(pixels), args.x + part.plane * pixels, copy);
    if (args.g) table().planes_to_block(part.planes(results), args.g + part.plane * results, g);
    kernels::DepthwiseInputGradient gradient;
    gradient.shape = maps.shape;
    gradient.x = copy;
    gradient.g = args.g ? g : zeros.data();
    gradient.weights = weights.data() + part.block * kTaps * kBlock;
    gradient.s = s.data() + part.block * kTaps * kTaps * kBlock;
    gradient.constant = constant.data() + part.block * kTaps * kBlock;
    gradient.shift = shift.data() + part.block * kBlock;
    gradient.dx = copy + pixels * kBlock;
    gradient.scratch = g + results * kBlock;
    table().depthwise_input_gradient(gradient);
    const std::int64_t first = part.plane * pixels;
    table().block_to_planes(part.planes(pixels), gradient.dx,
                            args.grad ? args.grad + first : nullptr, args.dx + first);
  });
}

}  // namespace mobileone::training
