// Rounding to 8-bit integers, kept as float32 numbers, in loops of any instruction set.
#pragma once

#include "mobileone/kernels/vectorized.hpp"

namespace mobileone::kernels {

// Integers from `least` to 255 that stand for x - zero_point.
struct ByteRounding {
  float zero_point, least;

  // clamp(rint(x) + zero_point), to nearest even; NaN becomes the zero point. Clamped first: the
  // bounds are integers, and adding 1.5 * 2^23 rounds numbers that are not large.
  MOBILEONE_INLINE float round(float x) const {
    constexpr float kRound = 12582912.f;
    const float number = x == x ? x : 0.f;
    const float floor = number < least - zero_point ? least - zero_point : number;
    const float clamped = floor > 255.f - zero_point ? 255.f - zero_point : floor;
    return (clamped + kRound) - kRound + zero_point;
  }
};

}  // namespace mobileone::kernels
