// The backend of the inference form's hot path: stem, depthwise -> pointwise pairs, SE, pool and
// classifier on our own SIMD kernels. What it does not cover goes to oneDNN, step by step.
#pragma once

#include "mobileone/plan/builder.hpp"

namespace mobileone::fused {

// Null on a CPU without AVX2 and FMA.
const Backend* backend();

}  // namespace mobileone::fused
