// Loops compiled for the widest vectors that this process may use, and what they call.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#include "mobileone/kernels/vectorized.hpp"

namespace mobileone::loops {

using kernels::vectorized;
using kernels::Vectors;
using kernels::vectors;

// e^x to 2 units in the last place, 0 below -87 and at most 2^127 above 88: Cody and Waite's
// reduction by ln 2 in two parts, then the Taylor polynomial of degree 7 (remainder 6e-9 relative
// on |r| <= ln 2 / 2). Free of branches, so that loops of it become vectors: a choice is between
// two values that are there already, since what might trap is not moved out of one.
MOBILEONE_INLINE float exponential(float x) {
  const float least = x < -87.f ? -87.f : x;
  const float clamped = least > 88.f ? 88.f : least;
  constexpr float kRound = 12582912.f;  // 1.5 * 2^23: adding it rounds to the nearest integer
  const float shifted = clamped * 1.44269504f + kRound;
  const float n = shifted - kRound;
  const float r = (clamped - n * 0.693359375f) - n * -2.12194440e-4f;
  float sum = (1.f / 5040.f) * r + 1.f / 720.f;  // no loop, which nothing unrolls in time
  sum = sum * r + 1.f / 120.f;
  sum = sum * r + 1.f / 24.f;
  sum = sum * r + 1.f / 6.f;
  sum = ((sum * r + 0.5f) * r + 1.f) * r + 1.f;
  std::int32_t bits;
  std::memcpy(&bits, &shifted, sizeof bits);
  bits = (bits - 0x4b400000 + 127) << 23;  // 2^n
  float power;
  std::memcpy(&power, &bits, sizeof power);
  const float result = sum * power;
  return x < -87.f ? 0.f : result;
}

}  // namespace mobileone::loops
