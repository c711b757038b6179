// Channel planes, as NCHW has them, to and from blocks of 16 channels without a border.
#pragma once

#include <cstddef>

#include "mobileone/kernels/layout.hpp"

namespace mobileone::kernels {

/// Some pixels of 1 to 16 planes, `step` floats from one plane to the next, and block [pixels][16]:
/// channels beyond the last are zeros.
struct Planes {
  int channels = 0;
  std::ptrdiff_t pixels = 0;
  std::ptrdiff_t step = 0;
};

}  // namespace mobileone::kernels
