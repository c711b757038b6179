// The arithmetic of vdpbf16ps, one number at a time.
#pragma once

#include <immintrin.h>

#include <random>

#include "kernels_testing.hpp"
#include "mobileone/kernels/bfloat16.hpp"

namespace mobileone::kernels::testing {

// Subnormal numbers are 0 while a plan runs; vdpbf16ps does so by itself.
class FlushSubnormals {
 public:
  FlushSubnormals() : before_(_mm_getcsr()) { _mm_setcsr(before_ | 0x8040); }
  ~FlushSubnormals() { _mm_setcsr(before_); }

 private:
  unsigned before_;
};

inline float flushed(float x) {
  return std::fpclassify(x) == FP_SUBNORMAL ? std::copysign(0.0f, x) : x;
}
inline float fused(float a, float b, float c) {
  return flushed(std::fma(flushed(a), flushed(b), flushed(c)));
}
inline float rounded(float x) { return from_bfloat16(to_bfloat16(x)); }

/// Every `each`-th number, by chance, from 1e-42 to 1e-36: subnormal ones among them.
inline void make_tiny(std::vector<float>& values, unsigned each, std::mt19937& engine) {
  std::uniform_real_distribution<float> exponent(-42.0f, -36.0f), sign(-1.0f, 1.0f);
  for (float& x : values) {
    if (engine() % each == 0) x = std::copysign(std::pow(10.0f, exponent(engine)), sign(engine));
  }
}

}  // namespace mobileone::kernels::testing
