// Updates of weights in place, element by element: the same bits with any number of threads.
#pragma once

#include <cstdint>
#include <vector>

#include "mobileone/base/thread_pool.hpp"

namespace mobileone {

// A weight, its gradient, and what the optimizer remembers of it; all of `count` floats.
struct TrainedWeight {
  float* weight;
  const float* gradient;
  float* first;   // Sgd: the momentum; AdamW: the mean of gradients
  float* second;  // AdamW: the mean of their squares; else null
  std::int64_t count;
  double decay;  // the coefficient of weight decay
};

// As torch.optim.SGD: g += decay w, v = momentum v + g, w -= rate v, with Nesterov's momentum
// rate (g + momentum v).
struct Sgd {
  double rate = 0.0, momentum = 0.0;
  bool nesterov = false;
};

// Adam with decoupled weight decay (Loshchilov and Hutter, ICLR 2019), as torch.optim.AdamW.
struct AdamW {
  double rate = 0.0, beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;
  std::int64_t updates = 1;  // this one included
};

// `pool` may be null.
void update(const Sgd& how, const std::vector<TrainedWeight>& weights, ThreadPool* pool);
void update(const AdamW& how, const std::vector<TrainedWeight>& weights, ThreadPool* pool);

}  // namespace mobileone
