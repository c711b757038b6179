#include "mobileone/kernels/training/planes.hpp"

#include "mobileone/kernels/entry_points.hpp"
#include "mobileone/kernels/simd/transpose.hpp"

namespace mobileone::kernels::MOBILEONE_ISA {

void planes_to_block(const Planes& shape, const float* planes, float* block) {
  const std::ptrdiff_t whole = shape.pixels - shape.pixels % kLanes;
  for (int first = 0; first < kBlock; first += kLanes) {
    for (std::ptrdiff_t pixel = 0; pixel < whole; pixel += kLanes) {
      Vec v[kLanes];
#pragma GCC unroll 16
      for (int i = 0; i < kLanes; ++i) {
        const int c = first + i;
        v[i] = c < shape.channels ? load(planes + c * shape.pixels + pixel) : zero();
      }
      transpose(v);
#pragma GCC unroll 16
      for (int i = 0; i < kLanes; ++i) store(block + (pixel + i) * kBlock + first, v[i]);
    }
  }
  for (std::ptrdiff_t pixel = whole; pixel < shape.pixels; ++pixel) {
    for (int c = 0; c < kBlock; ++c) {
      block[pixel * kBlock + c] = c < shape.channels ? planes[c * shape.pixels + pixel] : 0.0f;
    }
  }
}

void block_to_planes(const Planes& shape, const float* block, const float* addend, float* planes) {
  const std::ptrdiff_t whole = shape.pixels - shape.pixels % kLanes;
  for (int first = 0; first < shape.channels; first += kLanes) {
    for (std::ptrdiff_t pixel = 0; pixel < whole; pixel += kLanes) {
      Vec v[kLanes];
#pragma GCC unroll 16
      for (int i = 0; i < kLanes; ++i) v[i] = load(block + (pixel + i) * kBlock + first);
      transpose(v);
      for (int i = 0; i < kLanes && first + i < shape.channels; ++i) {
        const std::ptrdiff_t at = (first + i) * shape.pixels + pixel;
        store(planes + at, addend == nullptr ? v[i] : add(v[i], load(addend + at)));
      }
    }
  }
  for (std::ptrdiff_t pixel = whole; pixel < shape.pixels; ++pixel) {
    for (int c = 0; c < shape.channels; ++c) {
      const std::ptrdiff_t at = c * shape.pixels + pixel;
      planes[at] = block[pixel * kBlock + c] + (addend == nullptr ? 0.0f : addend[at]);
    }
  }
}

}  // namespace mobileone::kernels::MOBILEONE_ISA
