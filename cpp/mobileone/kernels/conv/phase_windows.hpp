// Kinds of windows along one side (phases.hpp): forms of what they read, and outputs of products.
// kReach: pixels before the first output.
#pragma once

#include "mobileone/kernels/simd/simd.hpp"

namespace mobileone::kernels::MOBILEONE_ISA {

struct Three {
  static constexpr int kInputs = 5, kForms = 5, kOutputs = 3, kReach = 1;
  static inline __attribute__((always_inline)) void source(const Vec (&d)[5], Vec (&v)[5]) {
    const Vec two = broadcast(2.0f), odd = sub(d[1], d[3]);
    v[0] = fma(broadcast(-0.5f), odd, sub(d[0], d[2]));
    v[1] = sub(fma(two, d[1], d[2]), d[3]);
    v[2] = sub(mul(broadcast(3.0f), d[2]), fma(two, d[1], d[3]));
    v[3] = fma(two, odd, sub(d[4], d[2]));
    v[4] = sub(d[3], d[1]);
  }
  static inline __attribute__((always_inline)) void result(const Vec (&m)[5], Vec (&y)[3]) {
    const Vec sum = add(m[1], m[2]);
    y[0] = add(add(m[0], sum), m[4]);
    y[1] = fma(broadcast(2.0f), m[4], sub(m[1], m[2]));
    y[2] = add(fma(broadcast(4.0f), m[4], sum), m[3]);
  }
};

struct Two {
  static constexpr int kInputs = 4, kForms = 4, kOutputs = 2, kReach = 1;
  static inline __attribute__((always_inline)) void source(const Vec (&d)[4], Vec (&v)[4]) {
    v[0] = sub(d[0], d[2]);
    v[1] = add(d[1], d[2]);
    v[2] = mul(broadcast(3.0f), sub(d[2], d[1]));
    v[3] = sub(d[1], d[3]);
  }
  static inline __attribute__((always_inline)) void result(const Vec (&m)[4], Vec (&y)[2]) {
    y[0] = add(m[0], add(m[1], m[2]));
    y[1] = sub(sub(m[1], m[2]), m[3]);
  }
};

struct Pair {
  static constexpr int kInputs = 2, kForms = 3, kOutputs = 2, kReach = 0;
  static inline __attribute__((always_inline)) void source(const Vec (&d)[2], Vec (&v)[3]) {
    v[0] = add(d[0], d[1]);
    v[1] = d[1];
    v[2] = d[0];
  }
  static inline __attribute__((always_inline)) void result(const Vec (&m)[3], Vec (&y)[2]) {
    y[0] = add(m[0], m[1]);
    y[1] = add(m[0], m[2]);
  }
};

struct One {
  static constexpr int kInputs = 1, kForms = 1, kOutputs = 1, kReach = 0;
  static inline __attribute__((always_inline)) void source(const Vec (&d)[1], Vec (&v)[1]) {
    v[0] = d[0];
  }
  static inline __attribute__((always_inline)) void result(const Vec (&m)[1], Vec (&y)[1]) {
    y[0] = m[0];
  }
};

}  // namespace mobileone::kernels::MOBILEONE_ISA
