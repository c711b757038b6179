// Elementary functions of a vector, in line: exponential, sigmoid, SiLU.
//
//   e^x = 2^n 2^f,  n + f = x log2(e),  with log2(e) in two parts so that f is good to 2^-30.
//
// AVX-512 rounds n to 32nds, takes 2^(n mod 1) from a table in two registers and needs two terms of
// 2^f; AVX2 rounds n to an integer and needs six. Both are minimax fits of (2^f - 1) / f, with
// errors of 0.9 u and 0.1 u (u = 2^-24). With rounding that makes 3 u for exp, and 7.5 u for the
// others. Errors are relative, down to the limits that each function states. NaN gives NaN.
#pragma once

#include "mobileone/kernels/arch/simd.hpp"

namespace mobileone::kernels::MOBILEONE_ISA {

inline constexpr float kLog2E = 1.44269502162933349609375f;
inline constexpr float kLog2ERest = 1.92596298909109e-08f;

#ifdef __AVX512F__
/// 1.5 * 2^18, beside which the last place of a float is 1/32: adding it rounds.
inline constexpr float kThirtySeconds = 393216.0f;

alignas(64) inline constexpr float kExp2ThirtySeconds[32] = {
    1.0f,       1.0218972f, 1.0442737f, 1.0671405f, 1.0905077f, 1.1143868f, 1.1387886f, 1.1637249f,
    1.1892071f, 1.2152474f, 1.2418578f, 1.269051f,  1.2968396f, 1.3252367f, 1.3542556f, 1.38391f,
    1.4142135f, 1.4451808f, 1.4768262f, 1.5091645f, 1.5422108f, 1.5759809f, 1.6104903f, 1.6457555f,
    1.6817929f, 1.7186193f, 1.7562522f, 1.7947091f, 1.8340081f, 1.8741677f, 1.9152066f, 1.9571441f};

/// 2^(n + f) for n in 32nds and |f| <= 1/64; the low bits of `shifted` are n mod 1.
inline Vec exp2_parts(Vec shifted, Vec n, Vec f) {
  const Vec power =
      _mm512_permutex2var_ps(_mm512_load_ps(kExp2ThirtySeconds), _mm512_castps_si512(shifted),
                             _mm512_load_ps(kExp2ThirtySeconds + 16));
  const Vec series = fma(broadcast(0.240226537f), f, broadcast(0.693157315f));
  return _mm512_scalef_ps(fma(mul(power, f), series, power), n);  // times 2^floor(n)
}

/// e^(sign x) for |x| < 2^16, whatever the size of the result. Without kRest log2(e) is a float,
/// and the relative error grows by |x| u / 4.
template <int kSign, bool kRest = true>
inline Vec exp_bounded(Vec x) {
  const Vec magic = broadcast(kThirtySeconds);
  const Vec shifted = fma(x, broadcast(kSign * kLog2E), magic);
  const Vec n = sub(shifted, magic);
  Vec f = _mm512_fmsub_ps(x, broadcast(kSign * kLog2E), n);
  if constexpr (kRest) f = fma(x, broadcast(kSign * kLog2ERest), f);
  return exp2_parts(shifted, n, f);
}

/// 1 / d for d in [1, 2^126]: 14 bits and one step of Newton's method.
inline Vec reciprocal(Vec d) {
  const Vec r = _mm512_rcp14_ps(d);
  return fma(_mm512_fnmadd_ps(d, r, broadcast(1.0f)), r, r);
}
#else
/// 2^f for |f| <= 1/2.
inline Vec exp2_series(Vec f) {
  Vec series = broadcast(1.53533620e-4f);
  series = fma(series, f, broadcast(1.33988739e-3f));
  series = fma(series, f, broadcast(9.61843692e-3f));
  series = fma(series, f, broadcast(5.55033237e-2f));
  series = fma(series, f, broadcast(0.240226477f));
  series = fma(series, f, broadcast(0.693147182f));
  return fma(series, f, broadcast(1.0f));
}

/// 2^f, where n + f = sign x log2(e).
template <int kSign, bool kRest>
inline Vec exp2_fraction(Vec x, Vec n) {
  Vec f = _mm256_fmsub_ps(x, broadcast(kSign * kLog2E), n);
  if constexpr (kRest) f = fma(x, broadcast(kSign * kLog2ERest), f);
  return exp2_series(f);
}

/// e^(sign x) for |x| <= 87, where the result is a normal number. Without kRest log2(e) is a float,
/// and the relative error grows by |x| u / 4.
template <int kSign, bool kRest = true>
inline Vec exp_bounded(Vec x) {
  const Vec n = round_even(mul(x, broadcast(kSign * kLog2E)));
  return mul(exp2_fraction<kSign, kRest>(x, n), exp2_int(n));
}

inline Vec reciprocal(Vec d) { return div(broadcast(1.0f), d); }
#endif

/// e^x; +infinity above 88.72, denormal results unless they are flushed, 0 below -103.97.
inline Vec exp(Vec x) {
  x = max(broadcast(-104.0f), min(broadcast(89.0f), x));
#ifdef __AVX512F__
  return exp_bounded<1>(x);
#else
  const Vec n = round_even(mul(x, broadcast(kLog2E)));
  const Vec half = round_even(mul(n, broadcast(0.5f)));  // 2^n may be no normal number
  return mul(mul(exp2_fraction<1, true>(x, n), exp2_int(half)), exp2_int(sub(n, half)));
#endif
}

/// 2^x for a softmax: relative error 4 u for |x| <= 125; below that anything from 0 to 2^-125,
/// above anything from 2^125 to infinity. The cheapest of all: AVX-512 rounds x to 32nds and needs
/// two terms.
inline Vec exp2_saturating(Vec x) {
#ifdef __AVX512F__
  const Vec magic = broadcast(kThirtySeconds);
  const Vec shifted = add(x, magic);
  // What is left of x beside whole 32nds.
  return exp2_parts(shifted, sub(shifted, magic), _mm512_reduce_ps(x, 0x58));
#else
  x = max(broadcast(-126.0f), min(broadcast(126.0f), x));
  const Vec n = round_even(x);
  return mul(exp2_series(sub(x, n)), exp2_int(n));
#endif
}

/// 1 / (1 + e^-x); below 2^-125 any value from 0 to 2^-125.
inline Vec sigmoid(Vec x) {
  const Vec bounded = max(broadcast(-87.0f), min(broadcast(87.0f), x));
  return reciprocal(add(broadcast(1.0f), exp_bounded<-1>(bounded)));
}

/// x / (1 + e^-x), relative error (7.5 + |x| / 4) u; 0 (of either sign) below -87, where the
/// magnitude is less than 2e-36.
inline Vec silu(Vec x) {
  const Vec one = broadcast(1.0f), low = broadcast(-87.0f);
  const Vec bounded = min(broadcast(87.0f), x);
#ifdef __AVX512F__
  const __mmask16 kept = _mm512_cmp_ps_mask(x, low, _CMP_NLT_UQ);  // true for NaN
  return _mm512_maskz_mul_ps(kept, x, reciprocal(add(one, exp_bounded<-1, false>(bounded))));
#else
  const Vec kept = _mm256_cmp_ps(x, low, _CMP_NLT_UQ);
  return _mm256_and_ps(kept, div(x, add(one, exp_bounded<-1, false>(max(low, bounded)))));
#endif
}

}  // namespace mobileone::kernels::MOBILEONE_ISA
