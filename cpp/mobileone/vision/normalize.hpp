// 8-bit images to the float32 tensors that networks take.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

namespace mobileone {

// A view of 8-bit images, logically [N, C, H, W]. Strides are in bytes, of any sign or zero: NHWC,
// swapped channels, crops and flips are strides.
struct ImageView {
  const std::uint8_t* data = nullptr;
  std::array<std::int64_t, 4> shape{};
  std::array<std::int64_t, 4> strides{};
};

// Pixel p of channel c becomes (low + p * (high - low) / 255 - mean[c]) / std[c].
struct Normalization {
  double low = 0.0;
  double high = 1.0;
  std::vector<double> mean;
  std::vector<double> std;
};

// The value of each of the 256 pixels in each channel, [C][256]: computed in float64 in the order
// of the formula and rounded once to float32, so that no result depends on the machine.
std::vector<std::array<float, 256>> normalization_table(const Normalization& normalization);

// Writes the normalized images to `out`, dense [N, C, H, W].
void normalize(const ImageView& images, const Normalization& normalization, float* out);

}  // namespace mobileone
