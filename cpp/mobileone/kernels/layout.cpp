#include "mobileone/kernels/layout.hpp"

#include <algorithm>

namespace mobileone::kernels {

void zero_border(const MapShape& shape, float* map) {
  const std::ptrdiff_t row = shape.row_stride();
  for (int block = 0; block < blocks(shape.channels); ++block, map += shape.block_stride()) {
    std::fill_n(map, row, 0.0f);
    std::fill_n(map + (shape.height + 1) * row, row, 0.0f);
    for (int y = 1; y <= shape.height; ++y) {
      std::fill_n(map + y * row, kBlock, 0.0f);
      std::fill_n(map + (y + 1) * row - kBlock, kBlock, 0.0f);
    }
  }
}

void to_blocked(const MapShape& shape, const float* nchw, float* map) {
  std::fill_n(map, shape.num_floats(), 0.0f);
  for (int c = 0; c < shape.channels; ++c) {
    for (int y = 0; y < shape.height; ++y) {
      float* dst = map + shape.offset(c / kBlock, y, 0) + c % kBlock;
      for (int x = 0; x < shape.width; ++x, dst += kBlock) *dst = *nchw++;
    }
  }
}

void from_blocked(const MapShape& shape, const float* map, float* nchw) {
  for (int c = 0; c < shape.channels; ++c) {
    for (int y = 0; y < shape.height; ++y) {
      const float* src = map + shape.offset(c / kBlock, y, 0) + c % kBlock;
      for (int x = 0; x < shape.width; ++x, src += kBlock) *nchw++ = *src;
    }
  }
}

}  // namespace mobileone::kernels
