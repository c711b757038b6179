// bfloat16: the upper half of a float32 (8 bits of significand), rounded to nearest even.
#pragma once

#include <bit>
#include <cmath>
#include <cstdint>

namespace mobileone::kernels {

/// As vcvtneps2bf16 rounds: subnormal numbers to a zero of their sign, NaN to a quiet one.
inline std::uint16_t to_bfloat16(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  if (std::isnan(x)) return static_cast<std::uint16_t>(bits >> 16 | 0x40);
  if ((bits & 0x7f800000u) == 0) return static_cast<std::uint16_t>(bits >> 16 & 0x8000);
  return static_cast<std::uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

inline float from_bfloat16(std::uint16_t x) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(x) << 16);
}

/// Two in the place of a float, the even one in its lower half: a copy of the bits, no number.
inline float bfloat16_pair(float even, float odd) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(to_bfloat16(odd)) << 16 |
                              to_bfloat16(even));
}

}  // namespace mobileone::kernels
