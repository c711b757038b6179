// Maxima and sums of contiguous rows, in as many parts as make vectors of them: one would wait for
// each element, and the compiler may not reorder it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>

#include "mobileone/backends/loops/vectors.hpp"

namespace mobileone::loops {

inline constexpr std::int64_t kRowParts = 32;

// The parts become one, half of them at a time.
template <typename Part, typename Combine>
MOBILEONE_INLINE Part combined(Part (&parts)[kRowParts], const Combine& combine) {
#pragma GCC unroll 5
  for (std::int64_t half = kRowParts / 2; half > 0; half /= 2) {
#pragma GCC unroll 16
    for (std::int64_t j = 0; j < half; ++j) parts[j] = combine(parts[j], parts[j + half]);
  }
  return parts[0];
}

// The largest of `count` numbers; NaN is passed over.
MOBILEONE_INLINE float largest_of(const float* x, std::int64_t count) {
  const auto larger = [](float a, float b) MOBILEONE_INLINE_LAMBDA { return a < b ? b : a; };
  float parts[kRowParts];
  for (float& part : parts) part = -std::numeric_limits<float>::infinity();
  std::int64_t i = 0;
  for (; i + kRowParts <= count; i += kRowParts) {
    for (std::int64_t j = 0; j < kRowParts; ++j) parts[j] = larger(parts[j], x[i + j]);
  }
  for (std::int64_t j = 0; i + j < count; ++j) parts[j] = larger(parts[j], x[i + j]);
  return combined(parts, larger);
}

// The sum of `count` numbers, in float64.
MOBILEONE_INLINE double sum_of(const float* x, std::int64_t count) {
  double parts[kRowParts] = {};
  std::int64_t i = 0;
  for (; i + kRowParts <= count; i += kRowParts) {
    for (std::int64_t j = 0; j < kRowParts; ++j) parts[j] += static_cast<double>(x[i + j]);
  }
  for (std::int64_t j = 0; i + j < count; ++j) parts[j] += static_cast<double>(x[i + j]);
  return combined(parts, [](double a, double b) MOBILEONE_INLINE_LAMBDA { return a + b; });
}

}  // namespace mobileone::loops
