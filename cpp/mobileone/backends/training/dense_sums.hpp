// Sums over all patches of a dense convolution: their moments, and its weights' gradient.
#pragma once

#include <functional>

#include "mobileone/backends/training/panels.hpp"
#include "mobileone/backends/training/patches.hpp"

namespace mobileone::training {

// Memory of a worker, of as many floats as the sum says.
using ScratchOf = std::function<float*(int worker)>;

// Of patches less `shift` [K], K being taps in whole blocks: sums [slots][K], products
// [slots][K][K], the blocks on and above the diagonal.
struct MomentSums {
  const float *x, *shift;
  float *sums, *gram;
};
std::int64_t moment_scratch_floats(const Patches& patches);
void sum_moments(const Patches& patches, const Slots& slots, const MomentSums& args,
                 ThreadPool* pool, const ScratchOf& scratch_of);
// Mean of the patches [K], and their covariance in place of the first slot's products.
void finish_moments(const Patches& patches, const Slots& slots, const MomentSums& args,
                    double* mean, ThreadPool* pool);

// dW = g' patches [slots][O][K] and db [slots][O], O being outputs in whole blocks. `gradients`
// reads g pixel by pixel, in as many parts.
struct GradientSums {
  const float *x, *g;
  float* dweight;
  double* dbias;
};
std::int64_t gradient_scratch_floats(const Patches& patches, const Patches& gradients);
void sum_weight_gradients(const Patches& patches, const Patches& gradients, const Slots& slots,
                          const GradientSums& args, ThreadPool* pool, const ScratchOf& scratch_of);

}  // namespace mobileone::training
