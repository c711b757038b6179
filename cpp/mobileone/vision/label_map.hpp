// A segmenter's logits to the class of every pixel of a picture.
#pragma once

#include <cstdint>

namespace mobileone {

// Logits [classes][height][width] of a picture of rows x columns pixels.
struct Logits {
  const float* data;
  std::int64_t classes, height, width;
};

// The class with the largest logit at each pixel, [rows][columns], where logits are interpolated
// bilinearly: with pixel centres aligned, or with `align_corners` the corner pixels (PyTorch's
// interpolate, either way). Of equal ones the first class. In float64, without the interpolated
// logits in memory: what cannot win between four neighbours is left out there, and where one class
// remains nothing is computed.
void label_map(const Logits& logits, bool align_corners, std::int64_t rows, std::int64_t columns,
               std::uint16_t* labels);
void label_map(const Logits& logits, bool align_corners, std::int64_t rows, std::int64_t columns,
               std::uint8_t* labels);

}  // namespace mobileone
