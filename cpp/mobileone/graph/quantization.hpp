// Maps of 8-bit integers, which stand for (q - zero_point) * scale: what their operators check.
#pragma once

#include <limits>

#include "mobileone/graph/operator.hpp"

namespace mobileone {

inline constexpr std::int64_t kLargestByte = 255;
// Magnitudes of a convolution's integers: with those of the inputs, 255, all sums fit 32 bits.
inline constexpr std::int64_t kLargestWeight = 127;
inline constexpr std::int64_t kLargestBias = std::int64_t{1} << 30;
inline constexpr std::int64_t kMostTerms = kLargestBias / (kLargestWeight * kLargestByte);

// Any finite float32.
inline constexpr double kLargestMultiplier = std::numeric_limits<float>::max();

inline void check_zero_point(const InputShapes& inputs, const char* field, std::int64_t value) {
  if (value < 0 || value > kLargestByte) {
    inputs.fail(field, " is ", value, "; expected 0 to ", kLargestByte);
  }
}

// As a float32, which it is used as.
inline void check_scale(const InputShapes& inputs, double scale) {
  const auto used = static_cast<float>(scale);
  if (!(used >= 0x1p-126f && used <= 0x1p126f)) {
    inputs.fail("scale is ", scale, "; expected a positive number, 2^-126 to 2^126");
  }
}

}  // namespace mobileone
