#include "mobileone/kernels/training/planes.hpp"

#include "mobileone/kernels/entry_points.hpp"
#include "mobileone/kernels/simd/transpose.hpp"

namespace mobileone::kernels::MOBILEONE_ISA {
namespace {

// group(first pixel) for groups of kLanes that cover all pixels, the last one over some of those
// before it; false where there are fewer.
template <typename Group>
bool for_groups(std::ptrdiff_t pixels, const Group& group) {
  if (pixels < kLanes) return false;
  for (std::ptrdiff_t pixel = 0; pixel < pixels; pixel += kLanes) {
    group(pixel < pixels - kLanes ? pixel : pixels - kLanes);
  }
  return true;
}

}  // namespace

void planes_to_block(const Planes& shape, const float* planes, float* block) {
  bool whole = false;
  for (int first = 0; first < kBlock; first += kLanes) {
    whole = for_groups(shape.pixels, [&](std::ptrdiff_t pixel) __attribute__((always_inline)) {
      Vec v[kLanes];
#pragma GCC unroll 16
      for (int i = 0; i < kLanes; ++i) {
        const int c = first + i;
        v[i] = c < shape.channels ? load(planes + c * shape.step + pixel) : zero();
      }
      transpose(v);
#pragma GCC unroll 16
      for (int i = 0; i < kLanes; ++i) store(block + (pixel + i) * kBlock + first, v[i]);
    });
  }
  if (whole) return;
  for (std::ptrdiff_t pixel = 0; pixel < shape.pixels; ++pixel) {
    for (int c = 0; c < kBlock; ++c) {
      block[pixel * kBlock + c] = c < shape.channels ? planes[c * shape.step + pixel] : 0.0f;
    }
  }
}

void block_to_planes(const Planes& shape, const float* block, const float* addend, float* planes) {
  bool whole = false;
  for (int first = 0; first < shape.channels; first += kLanes) {
    whole = for_groups(shape.pixels, [&](std::ptrdiff_t pixel) __attribute__((always_inline)) {
      Vec v[kLanes];
#pragma GCC unroll 16
      for (int i = 0; i < kLanes; ++i) v[i] = load(block + (pixel + i) * kBlock + first);
      transpose(v);
      for (int i = 0; i < kLanes && first + i < shape.channels; ++i) {
        const std::ptrdiff_t at = (first + i) * shape.step + pixel;
        store(planes + at, addend == nullptr ? v[i] : add(v[i], load(addend + at)));
      }
    });
  }
  if (whole) return;
  for (std::ptrdiff_t pixel = 0; pixel < shape.pixels; ++pixel) {
    for (int c = 0; c < shape.channels; ++c) {
      const std::ptrdiff_t at = c * shape.step + pixel;
      planes[at] = block[pixel * kBlock + c] + (addend == nullptr ? 0.0f : addend[at]);
    }
  }
}

}  // namespace mobileone::kernels::MOBILEONE_ISA
