// Bilinear interpolation of maps, as torch.nn.functional.interpolate with align_corners=False.
#pragma once

#include "mobileone/kernels/activation.hpp"
#include "mobileone/kernels/layout.hpp"

namespace mobileone::kernels {

/// One output row or column: first + weight (second - first).
struct Tap {
  int first;
  int second;
  float weight;
};

/// How one axis of `in` pixels becomes one of `out`: the middle of output pixel i lies at
/// (i + 1/2) in / out - 1/2 of the input, clamped to its first and last pixel.
struct Axis {
  int in;
  int out;

  constexpr Axis(int in_pixels, int out_pixels) : in(in_pixels), out(out_pixels) {}
  constexpr Tap tap(int i) const {
    if (in == out) return {i, i, 0.0f};
    const double middle = (i + 0.5) * in / out - 0.5;
    const double at = middle < 0.0 ? 0.0 : middle;
    const int first = static_cast<int>(at) < in - 1 ? static_cast<int>(at) : in - 1;
    const int second = first + 1 < in ? first + 1 : first;
    return {first, second, static_cast<float>(at - first)};
  }
};

struct ResizeShape {
  int channels = 0;
  int height = 0, width = 0;
  int out_height = 0, out_width = 0;
  Activation activation = Activation::kNone;

  MapShape src() const { return {channels, height, width}; }
  MapShape dst() const { return {channels, out_height, out_width}; }
};

}  // namespace mobileone::kernels
