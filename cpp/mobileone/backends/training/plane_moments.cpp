#include "mobileone/backends/training/plane_moments.hpp"

namespace mobileone::training {

namespace {

using kernels::kTapPairs;
using kernels::kTaps;

constexpr std::int64_t kSums = kTaps + kTapPairs;

kernels::Planes planes_of(const PlaneMaps& maps, std::int64_t block) {
  const std::int64_t channels = std::min(kBlock, maps.channels - block * kBlock);
  return {static_cast<int>(channels), std::ptrdiff_t{maps.shape.height} * maps.shape.width};
}

// Scratch of every worker.
class Scratch {
 public:
  Scratch(std::int64_t floats, const ThreadPool* pool)
      : floats_(floats), memory_(static_cast<std::size_t>(floats * (pool ? pool->threads() : 1))) {}
  float* of(int worker) { return memory_.data() + worker * floats_; }

 private:
  std::int64_t floats_;
  std::vector<float> memory_;
};

// Of a block's channels, those beyond the last being 0.
void copy_channels(const float* from, const kernels::Planes& planes, float* to) {
  std::fill(std::copy_n(from, planes.channels, to), to + kBlock, 0.f);
}

}  // namespace

void plane_moments(const PlaneMaps& maps, const float* x, const float* shift, double* sums,
                   double* products, ThreadPool* pool) {
  const std::int64_t blocks = training::blocks(maps.channels);
  const std::int64_t map = planes_of(maps, 0).pixels * kBlock;
  std::vector<float> found(static_cast<std::size_t>(maps.images * blocks * kSums * kBlock));
  Scratch scratch(map + kBlock + maps.shape.scratch_floats(), pool);
  each(pool, maps.images * blocks, [&](std::int64_t task, int worker) {
    const std::int64_t block = task % blocks;
    const kernels::Planes planes = planes_of(maps, block);
    float* const copy = scratch.of(worker);
    float* const shifts = copy + map;
    copy_channels(shift + block * kBlock, planes, shifts);
    const std::int64_t first = task / blocks * maps.channels + block * kBlock;
    table().planes_to_block(planes, x + first * planes.pixels, copy);
    table().depthwise_moments(
        {maps.shape, copy, shifts, found.data() + task * kSums * kBlock, shifts + kBlock});
  });
  each(pool, maps.channels, [&](std::int64_t channel, int) {
    double totals[kSums] = {};
    for (std::int64_t image = 0; image < maps.images; ++image) {
      const float* const from =
          found.data() + (image * blocks + channel / kBlock) * kSums * kBlock + channel % kBlock;
      for (std::int64_t i = 0; i < kSums; ++i) totals[i] += static_cast<double>(from[i * kBlock]);
    }
    for (int t = 0; t < kTaps; ++t) {
      sums[channel * kTaps + t] = totals[t];
      for (int other = 0; other < kTaps; ++other) {
        products[(channel * kTaps + t) * kTaps + other] =
            totals[kTaps + kernels::tap_pair(std::min(t, other), std::max(t, other))];
      }
    }
  });
}

void plane_gradient(const PlaneMaps& maps, const PlaneGradient& args, ThreadPool* pool) {
  const std::int64_t blocks = training::blocks(maps.channels);
  const std::int64_t map = planes_of(maps, 0).pixels * kBlock;
  const std::int64_t result =
      std::int64_t{maps.shape.out_height()} * maps.shape.out_width() * kBlock;
  // Of every block: s, constants and shifts; weights and g are zero, one for all.
  constexpr std::int64_t kFactors = (kTaps * kTaps + kTaps + 1) * kBlock;
  std::vector<float> factors(static_cast<std::size_t>(blocks * kFactors));
  const std::vector<float> zeros(static_cast<std::size_t>(result + kTaps * kBlock));
  each(pool, maps.channels, [&](std::int64_t channel, int) {
    float* const to = factors.data() + channel / kBlock * kFactors + channel % kBlock;
    for (std::int64_t i = 0; i < kTaps * kTaps; ++i) {
      to[i * kBlock] = args.s[channel * kTaps * kTaps + i];
    }
    for (std::int64_t i = 0; i < kTaps; ++i) {
      to[(kTaps * kTaps + i) * kBlock] = args.constant[channel * kTaps + i];
    }
    to[(kTaps * kTaps + kTaps) * kBlock] = args.shift[channel];
  });
  Scratch scratch(2 * map + maps.shape.scratch_floats(), pool);
  each(pool, maps.images * blocks, [&](std::int64_t task, int worker) {
    const std::int64_t block = task % blocks;
    const kernels::Planes planes = planes_of(maps, block);
    float* const copy = scratch.of(worker);
    const std::int64_t first = (task / blocks * maps.channels + block * kBlock) * planes.pixels;
    const float* const own = factors.data() + block * kFactors;
    table().planes_to_block(planes, args.x + first, copy);
    kernels::DepthwiseInputGradient gradient;
    gradient.shape = maps.shape;
    gradient.x = copy;
    gradient.g = zeros.data();
    gradient.weights = zeros.data() + result;
    gradient.s = own;
    gradient.constant = own + kTaps * kTaps * kBlock;
    gradient.shift = gradient.constant + kTaps * kBlock;
    gradient.dx = copy + map;
    gradient.scratch = copy + 2 * map;
    table().depthwise_input_gradient(gradient);
    table().block_to_planes(planes, gradient.dx, args.grad ? args.grad + first : nullptr,
                            args.dx + first);
  });
}

}  // namespace mobileone::training
