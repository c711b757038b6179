// Sums of branches as one convolution on maps as other frameworks have them: NCHW, float32. Every
// result is the same bits with any pool.
#pragma once

#include <memory>

#include "mobileone/backends/training/patches.hpp"

namespace mobileone::training {

// Depthwise, 3 x 3 with padding 1, a patch having 9 taps; groups are channels.
struct DepthwisePlanes {
  std::int64_t images, channels;
  kernels::DepthwiseTraining shape;
};

// Ungrouped, with padding and strides; one group of all taps.
struct DensePlanes {
  DensePlanes(const Conv2d& conv, const Shape& x, const Shape& y)
      : patches(conv, {x, Layout::nchw()}, y),
        results(pixelwise(conv.out_channels), {y, Layout::nchw()}, y, patches.parts()) {}

  Patches patches;
  Patches results;  // y's and g's pixels
};

// Mean [groups][taps] and covariance [groups][taps][taps] of the patches over images and pixels;
// zero padding is part of them.
void plane_moments(const DepthwisePlanes& maps, const float* x, float* mean, float* covariance,
                   ThreadPool* pool);
void plane_moments(const DensePlanes& maps, const float* x, float* mean, float* covariance,
                   ThreadPool* pool);

// y = weight x + bias.
struct PlaneConvolution {
  const float *x, *weight, *bias;
  float* y;
};
void plane_convolution(const DepthwisePlanes& maps, const PlaneConvolution& args, ThreadPool* pool);
void plane_convolution(const DensePlanes& maps, const PlaneConvolution& args, ThreadPool* pool);

// The gradients of weight and bias, given y's.
struct PlaneWeightGradient {
  const float *x, *g;
  float *dweight, *dbias;
};
void plane_weight_gradient(const DepthwisePlanes& maps, const PlaneWeightGradient& args,
                           ThreadPool* pool);
void plane_weight_gradient(const DensePlanes& maps, const PlaneWeightGradient& args,
                           ThreadPool* pool);

// dx = grad + the sum, over the patches that an element of x is part of, of
// weight' g + s (patch - mean) + constant; s is [groups][taps][taps], mean and constant
// [groups][taps]; grad, and g with the weight, may be null. Of dense ones: if x is pixelwise.
struct PlaneInputGradient {
  const float *x, *grad, *g, *weight, *mean, *s, *constant;
  float* dx;
};
void plane_input_gradient(const DepthwisePlanes& maps, const PlaneInputGradient& args,
                          ThreadPool* pool);
void plane_input_gradient(const DensePlanes& maps, const PlaneInputGradient& args,
                          ThreadPool* pool);

// Memory of every worker of a pool.
class WorkerScratch {
 public:
  WorkerScratch(std::int64_t floats, const ThreadPool* pool)
      : floats_(floats),
        memory_(std::make_unique_for_overwrite<float[]>(
            static_cast<std::size_t>(floats * (pool ? pool->threads() : 1)))) {}
  float* of(int worker) const { return memory_.get() + worker * floats_; }

 private:
  std::int64_t floats_;
  std::unique_ptr<float[]> memory_;
};

}  // namespace mobileone::training
