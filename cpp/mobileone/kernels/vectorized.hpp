// Loops compiled for the widest vectors that this process may use: for what no kernel is written
// for.
#pragma once

namespace mobileone::kernels {

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

// Calls body(), a lambda that is MOBILEONE_INLINE_LAMBDA, in a function that is compiled for such
// vectors. What it calls is compiled so only where it is inlined too.
template <typename Body>
void vectorized(Vectors width, const Body& body) {
  switch (width) {
    case Vectors::avx512:
      return run_avx512(body);
    case Vectors::avx2:
      return run_avx2(body);
    case Vectors::baseline:
      return body();
  }
}

// For vectors().
template <typename Body>
void vectorized(const Body& body) {
  vectorized(vectors(), body);
}

}  // namespace mobileone::kernels
