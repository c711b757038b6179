// Blocked activation maps: the memory layout that all kernels of this folder share.
//
// A map of C channels, H x W pixels is float32 [ceil(C/16)][H+2][W+2][16] ("nChw16c" with a
// one-pixel border). The border and the channels that pad C to a multiple of 16 hold zeros: whoever
// allocates a map zeroes it once (zero_border), kernels write the interior only and keep the
// padding zero.
#pragma once

#include <cstddef>
#include <cstdint>

namespace mobileone::kernels {

inline constexpr int kBlock = 16;      // channels per block, for every instruction set
inline constexpr int kAlignment = 64;  // bytes; all packed weights, maps and scratch buffers

constexpr int ceil_div(int a, int b) { return (a + b - 1) / b; }
constexpr int blocks(int channels) { return ceil_div(channels, kBlock); }
constexpr int padded(int channels) { return blocks(channels) * kBlock; }

/// Size and strides (in floats) of one blocked map.
struct MapShape {
  int channels = 0;
  int height = 0;
  int width = 0;

  std::ptrdiff_t row_stride() const { return std::ptrdiff_t{width + 2} * kBlock; }
  std::ptrdiff_t block_stride() const { return (height + 2) * row_stride(); }
  std::ptrdiff_t num_floats() const { return blocks(channels) * block_stride(); }
  /// Offset of channel block `block` at pixel (y, x); y and x may be -1 or height / width (border).
  std::ptrdiff_t offset(int block, int y, int x) const {
    return block * block_stride() + (y + 1) * row_stride() + std::ptrdiff_t{x + 1} * kBlock;
  }
};

/// Zeroes the border of every channel block of `map`.
void zero_border(const MapShape& shape, float* map);

/// NCHW (one image, [C][H][W]) to a blocked map, border and padding channels zeroed.
void to_blocked(const MapShape& shape, const float* nchw, float* map);

/// Interior of a blocked map to [C][H][W].
void from_blocked(const MapShape& shape, const float* map, float* nchw);

}  // namespace mobileone::kernels
