// Elements of blocked maps: sums, factors per channel, activations; maxima of windows.
#pragma once

#include "mobileone/kernels/activation.hpp"
#include "mobileone/kernels/layout.hpp"

namespace mobileone::kernels {

/// dst = activation(a * factor + b), of maps of one shape; the activation keeps 0.
struct MapSum {
  MapShape shape;
  Activation activation = Activation::kNone;
  const float* a = nullptr;
  const float* factor = nullptr;  // [padded channels] or null: 1
  const float* b = nullptr;       // or null: 0
  float* dst = nullptr;
};

/// The maximum of every window, as far as it lies inside the map: NaN, if there is one.
struct MapMaxima {
  MapShape src;
  int kernel = 3;
  int stride = 2;
  int padding = 1;  // at most half the kernel

  int extent(int size) const { return (size + 2 * padding - kernel) / stride + 1; }
  MapShape dst() const { return {src.channels, extent(src.height), extent(src.width)}; }
};

}  // namespace mobileone::kernels
