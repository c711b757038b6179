// Maps of 8-bit integers, as the quantized kernels read and write them.
#pragma once

#include <cstddef>
#include <cstdint>

#include "mobileone/kernels/layout.hpp"

namespace mobileone::kernels {

/// uint8 [C/16][H + 2][W + 2][16]: channels in blocks of 16, the last one padded with any numbers,
/// and a border of one pixel that holds the zero point, so that padding adds nothing to a sum.
struct ByteMap {
  int channels = 0, height = 0, width = 0;

  /// Kernels may read, and never use, so many bytes after the last image.
  static constexpr std::size_t kSlack = 256;

  int blocks() const { return (channels + kBlock - 1) / kBlock; }
  std::ptrdiff_t row_stride() const { return std::ptrdiff_t{width + 2} * kBlock; }
  std::ptrdiff_t block_stride() const { return (height + 2) * row_stride(); }
  std::ptrdiff_t num_bytes() const { return blocks() * block_stride(); }  // of an image
  /// Of pixel (y, x), which may be one of the border's, -1 or height and -1 or width.
  std::ptrdiff_t offset(int block, int y, int x) const {
    return block * block_stride() + (y + 1) * row_stride() + std::ptrdiff_t{x + 1} * kBlock;
  }
};

/// Fills the border of one image.
void fill_border(const ByteMap& map, int zero_point, std::uint8_t* image);

}  // namespace mobileone::kernels
