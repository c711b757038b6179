// Moments of the patches of a depthwise 3 x 3 convolution with padding 1, and their gradient, of
// maps as other frameworks have them: NCHW, float32.
#pragma once

#include "mobileone/backends/training/support.hpp"

namespace mobileone::training {

struct PlaneMaps {
  std::int64_t images, channels;
  kernels::DepthwiseTraining shape;
};

// Sums over output pixels and images of the taps of x - shift (padding is -shift), and of their
// products: [channels][9] and [channels][9][9]. The same bits with any pool.
void plane_moments(const PlaneMaps& maps, const float* x, const float* shift, double* sums,
                   double* products, ThreadPool* pool);

// dx = grad + the sum, over the patches that an element of x is part of, of s (patch - shift) +
// constant: s is [channels][9][9], constant [channels][9], grad may be null.
struct PlaneGradient {
  const float *x, *grad, *shift, *s, *constant;
  float* dx;
};
void plane_gradient(const PlaneMaps& maps, const PlaneGradient& args, ThreadPool* pool);

}  // namespace mobileone::training
