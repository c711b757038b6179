// Loops compiled for the widest vectors that this process may use.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <initializer_list>

namespace mobileone::loops {

#define MOBILEONE_INLINE [[gnu::always_inline]] inline
// Of a lambda: after its parameters.
#define MOBILEONE_INLINE_LAMBDA __attribute__((always_inline))

enum class Vectors { baseline, avx2, avx512 };

// What the CPU has and MOBILEONE_MAX_ISA allows.
Vectors vectors();

template <typename Body>
[[gnu::target("avx512f,avx512vl,avx512dq,avx512bw,prefer-vector-width=512")]] void run_avx512(
    const Body& body) {
  body();
}
template <typename Body>
[[gnu::target("avx2,fma")]] void run_avx2(const Body& body) {
  body();
}

// Calls body(), a lambda that is MOBILEONE_INLINE_LAMBDA, in a function that is compiled for
// vectors(). What it calls is compiled so only where it is inlined too.
template <typename Body>
void vectorized(const Body& body) {
  switch (vectors()) {
    case Vectors::avx512:
      return run_avx512(body);
    case Vectors::avx2:
      return run_avx2(body);
    case Vectors::baseline:
      return body();
  }
}

// e^x to 2 units in the last place, 0 below -87 and at most 2^127 above 88: Cody and Waite's
// reduction by ln 2 in two parts, then the Taylor polynomial of degree 7 (remainder 6e-9 relative
// on |r| <= ln 2 / 2). Free of branches, so that loops of it become vectors.
MOBILEONE_INLINE float exponential(float x) {
  const float clamped = x < -87.f ? -87.f : (x > 88.f ? 88.f : x);
  constexpr float kRound = 12582912.f;  // 1.5 * 2^23: adding it rounds to the nearest integer
  const float shifted = clamped * 1.44269504f + kRound;
  const float n = shifted - kRound;
  const float r = (clamped - n * 0.693359375f) - n * -2.12194440e-4f;
  float sum = 1.f / 5040.f;
  for (const float c : {1.f / 720.f, 1.f / 120.f, 1.f / 24.f, 1.f / 6.f, 0.5f, 1.f, 1.f}) {
    sum = sum * r + c;
  }
  std::int32_t bits;
  std::memcpy(&bits, &shifted, sizeof bits);
  bits = (bits - 0x4b400000 + 127) << 23;  // 2^n
  float power;
  std::memcpy(&power, &bits, sizeof power);
  return x < -87.f ? 0.f : sum * power;
}

}  // namespace mobileone::loops
