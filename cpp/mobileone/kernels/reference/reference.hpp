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

#include "mobileone/kernels/activation.hpp"
#include "mobileone/kernels/block/squeeze_excite.hpp"

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

/// Convolution with `kernel` x `kernel` weights, padding kernel / 2 * dilation: depthwise (groups =
/// channels) or dense. No activation.
struct Window {
  int kernel = 3;
  int stride = 1;
  bool depthwise = true;
  int dilation = 1;
};
Map conv(const Map& src, int channels_out, const Window& window, const std::vector<float>& weight,
         const std::vector<float>& bias);
Map conv1x1(const Map& src, int channels_out, const std::vector<float>& weight,
            const std::vector<float>& bias);
/// The value and error of the activation's row (activation.hpp).
void activate(Activation activation, Map& map);
/// map += other.
void add(Map& map, const Map& other);
/// The channels of `first`, then those of `second`; equal sizes.
Map concat(const Map& first, const Map& second);
/// Channel means as a [channels][1][1] map.
Map mean(const Map& map);
/// gate(W2 activation(W1 mean + b1) + b2), [channels][1][1]; `se` gives the two functions.
Map squeeze_excite_scale(const SqueezeExcite& se, const Map& mean, const std::vector<float>& w1,
                         const std::vector<float>& b1, const std::vector<float>& w2,
                         const std::vector<float>& b2);
/// map *= scale per channel.
void multiply(Map& map, const Map& scale);

/// Bound of conv1x1 by so many levels of Strassen-Winograd, for every element alike.
double strassen_bound(const Map& src, const std::vector<float>& weight,
                      const std::vector<float>& bias, int levels = 1);

/// Replaces the bounds of a dense 3x3 convolution's result by those of Winograd's algorithm for
/// stride 1 or 2, whose windows have two rows and two or (of stride 2) four columns of the result,
/// whose sides they divide. `src` is without error.
void winograd_bounds(const Map& src, int stride, int columns, const std::vector<float>& weight,
                     const std::vector<float>& bias, Map& result);

/// The same of a stem by windows of 2 x 2 outputs (stem/stem_windows.hpp), of a result of any size.
void stem_bounds(const Map& src, const std::vector<float>& weight, const std::vector<float>& bias,
                 Map& result);

/// The same of a dilated one by minimal algorithms along both sides of its phases
/// (conv/phases.hpp).
void phases_bounds(const Map& src, int dilation, const std::vector<float>& weight,
                   const std::vector<float>& bias, Map& result);

/// Describes the first element where |got - expected| exceeds its bound (plus `slack`, the same for
/// every element), or where got is not a number; empty when there is none.
std::string mismatch(const Map& expected, const float* got, double slack = 0.0);

}  // namespace mobileone::kernels::reference
