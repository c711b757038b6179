// Naive float64 references of the kernels, each with a bound on the error that float32 may make.
//
// A value carries its own bound: for a sum of n products in any order, |error| <= gamma(n + 1)
// times the sum of magnitudes (Higham, Accuracy and Stability, 2nd ed., section 3.1), plus what the
// errors of the inputs contribute.
#pragma once

#include <cmath>
#include <cstddef>
#include <string>
#include <vector>

#include "mobileone/kernels/layout.hpp"

namespace mobileone::kernels::reference {

inline double gamma(double n) {
  const double u = std::ldexp(1.0, -24);
  return n * u / (1.0 - n * u);
}

/// A tensor [channels][height][width] of exact values and bounds on a float32 computation's error.
struct Map {
  int channels = 0, height = 0, width = 0;
  std::vector<double> value, bound;

  Map(int c, int h, int w)
      : channels(c), height(h), width(w), value(std::size_t(c) * h * w), bound(value.size()) {}
  std::size_t at(int c, int y, int x) const { return (std::size_t(c) * height + y) * width + x; }
  int pixels() const { return height * width; }
};

/// `data` as a map without error; [c][h][w].
Map exact_map(int c, int h, int w, const std::vector<float>& data);

/// Convolution with 3x3 kernels, padding 1: depthwise (groups = channels) or dense. No activation.
Map conv3x3(const Map& src, int channels_out, bool depthwise, int stride,
            const std::vector<float>& weight, const std::vector<float>& bias);
Map conv1x1(const Map& src, int channels_out, const std::vector<float>& weight,
            const std::vector<float>& bias);
void relu(Map& map);
/// x / (1 + e^-x), evaluated with a relative error of (8 + |x| / 3) u.
void silu(Map& map);
/// map += other.
void add(Map& map, const Map& other);
/// The channels of `first`, then those of `second`; equal sizes.
Map concat(const Map& first, const Map& second);
/// Channel means as a [channels][1][1] map.
Map mean(const Map& map);
/// sigmoid(W2 relu(W1 mean + b1) + b2), [channels][1][1].
Map squeeze_excite_scale(const Map& mean, int reduced, const std::vector<float>& w1,
                         const std::vector<float>& b1, const std::vector<float>& w2,
                         const std::vector<float>& b2);
/// map *= scale per channel.
void multiply(Map& map, const Map& scale);

/// Bound of conv1x1 by one level of Strassen-Winograd, for every element alike.
double strassen_bound(const Map& src, const std::vector<float>& weight,
                      const std::vector<float>& bias);

/// Describes the first element where |got - expected| exceeds its bound (plus `slack`, the same for
/// every element), or where got is not a number; empty when there is none.
std::string mismatch(const Map& expected, const float* got, double slack = 0.0);

}  // namespace mobileone::kernels::reference
