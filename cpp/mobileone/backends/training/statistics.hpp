// A branch's batch norm in the algebra of moments, one output channel at a time, in float64.
//
// For weights w of a branch, padded to the merged kernel, and patches of mean m and covariance C:
// mean = w m, var = w C w', s = gamma / sqrt(var + eps); the sum of the branches is the convolution
// with W = sum s w and b = sum beta - s mean. Backward, from dW and db (docs/training.md):
// dbeta = db, ds = <dW, w> - db mean, dgamma = ds / sqrt(var + eps), dvar = -ds s / 2 (var + eps),
// dw = s dW - s db m + 2 dvar w C, dm = -sum s db w, dC = sum dvar w'w.
#pragma once

#include <algorithm>
#include <cmath>

namespace mobileone::training {

struct ChannelNorm {
  double mean = 0.0, variance = 0.0;  // of the branch's convolution
  double gamma = 1.0, eps = 0.0;

  double inverse() const { return 1.0 / std::sqrt(std::max(variance, 0.0) + eps); }
  double scale() const { return gamma * inverse(); }
};

// What flows back through it, given <dW, w> and db.
struct ChannelGradient {
  double gamma, variance;  // the gradients for them
  double offset;           // s db: dm = -sum offset w, and dw has -offset m

  ChannelGradient(const ChannelNorm& norm, double product, double bias) {
    const double scale = product - bias * norm.mean, inverse = norm.inverse();
    gamma = scale * inverse;
    variance = -0.5 * scale * norm.gamma * inverse * inverse * inverse;
    offset = norm.scale() * bias;
  }
};

}  // namespace mobileone::training
