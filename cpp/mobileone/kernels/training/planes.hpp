// Channel planes, as NCHW has them, to and from blocks of 16 channels without a border.
#pragma once

#include <cstddef>

#include "mobileone/kernels/layout.hpp"

namespace mobileone::kernels {

/// planes [channels][pixels], 1 to 16 of them, and block [pixels][16]: channels beyond the last are
/// zeros.
struct Planes {
  int channels = 0;
  std::ptrdiff_t pixels = 0;
};

}  // namespace mobileone::kernels
