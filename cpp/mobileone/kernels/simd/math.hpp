// Elementary functions of a vector, in line: exponential, sigmoid, SiLU, GELU, hard sigmoid.
//
//   e^x = 2^n 2^f,  n + f = x log2(e),  with log2(e) in two parts so that f is good to 2^-30.
//
// AVX-512 rounds n to 32nds, takes 2^(n mod 1) from a table in two registers and needs two terms of
// 2^f; AVX2 rounds n to eighths, with a table in one register, and needs three. Both are minimax
// fits of (2^f - 1) / f, with errors of 0.9 u and 0.4 u (u = 2^-24). With rounding that makes 3 u
// for exp, and 7.5 u for the others. Errors are relative, down to the limits that each function
// states. NaN gives NaN.
#pragma once

#include "mobileone/kernels/simd/simd.hpp"

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
/// 1.5 * 2^20, beside which the last place of a float is 1/8.
inline constexpr float kEighths = 1572864.0f;

/// The bits of 2^(j/8) less j shifted to where adding n in eighths, shifted alike, leaves floor(n)
/// in the exponent.
alignas(32) inline constexpr unsigned kExp2Eighths[8] = {
    0x3f800000, 0x3f7b95c2, 0x3f7837f0, 0x3f75fed7, 0x3f7504f3, 0x3f75672a, 0x3f7744fd, 0x3f7ac0c7};

/// 2^(n + f) for |n| <= 126 in eighths and |f| <= 1/16; `shifted` is n + kEighths.
inline Vec exp2_parts(Vec shifted, Vec f) {
  const __m256i eighths = _mm256_castps_si256(shifted);
  const __m256i table = _mm256_load_si256(reinterpret_cast<const __m256i*>(kExp2Eighths));
  const Vec power = _mm256_castsi256_ps(_mm256_add_epi32(
      _mm256_permutevar8x32_epi32(table, eighths), _mm256_slli_epi32(eighths, 20)));
  Vec series = fma(broadcast(5.5496223e-2f), f, broadcast(0.24025764f));
  series = fma(series, f, broadcast(0.69314724f));
  return fma(mul(power, f), series, power);
}

/// What is left of sign x log2(e) beside n.
template <int kSign, bool kRest>
inline Vec exp2_rest(Vec x, Vec n) {
  const Vec f = _mm256_fmsub_ps(x, broadcast(kSign * kLog2E), n);
  return kRest ? fma(x, broadcast(kSign * kLog2ERest), f) : f;
}

/// e^(sign x) for |x| <= 87, where the result is a normal number. Without kRest log2(e) is a float,
/// and the relative error grows by |x| u / 4.
template <int kSign, bool kRest = true>
inline Vec exp_bounded(Vec x) {
  const Vec shifted = fma(x, broadcast(kSign * kLog2E), broadcast(kEighths));
  return exp2_parts(shifted, exp2_rest<kSign, kRest>(x, sub(shifted, broadcast(kEighths))));
}

inline Vec reciprocal(Vec d) { return div(broadcast(1.0f), d); }
#endif

/// e^x; +infinity above 88.72, denormal results unless they are flushed, 0 below -103.97.
inline Vec exp(Vec x) {
  x = max(broadcast(-104.0f), min(broadcast(89.0f), x));
#ifdef __AVX512F__
  return exp_bounded<1>(x);
#else
  const Vec shifted = fma(x, broadcast(kLog2E), broadcast(kEighths));
  const Vec f = exp2_rest<1, true>(x, sub(shifted, broadcast(kEighths)));
  // Towards 1 where 2^n is no normal number, and back at the end.
  const Vec up = _mm256_and_ps(_mm256_cmp_ps(x, broadcast(-60.0f), _CMP_LT_OQ), broadcast(64.0f));
  const Vec down = _mm256_and_ps(_mm256_cmp_ps(x, broadcast(60.0f), _CMP_GT_OQ), broadcast(64.0f));
  const Vec moved = sub(up, down);
  return mul(exp2_parts(add(shifted, moved), f), exp2_int(sub(zero(), moved)));
#endif
}

/// 2^x for a softmax: relative error 3 u for |x| <= 125; below that anything from 0 to 2^-125,
/// above anything from 2^125 to infinity. An infinite x may give NaN. The cheapest of all: AVX-512
/// rounds x to 32nds and needs two terms. Beyond 2^18 the rest that they see is not small any more,
/// but 1 + f ln 2 + f^2 ln^2 2 / 2 has no real root, and the exponent decides.
inline Vec exp2_saturating(Vec x) {
#ifdef __AVX512F__
  const Vec magic = broadcast(kThirtySeconds);
  const Vec shifted = add(x, magic), n = sub(shifted, magic);
  return exp2_parts(shifted, n, sub(x, n));
#else
  x = max(broadcast(-126.0f), min(broadcast(126.0f), x));
  const Vec shifted = add(x, broadcast(kEighths));
  return exp2_parts(shifted, sub(x, sub(shifted, broadcast(kEighths))));
#endif
}

/// 1 / (1 + e^-x); below 2^-125 any value from 0 to 2^-125.
inline Vec sigmoid(Vec x) {
  const Vec bounded = max(broadcast(-87.0f), min(broadcast(87.0f), x));
  return reciprocal(add(broadcast(1.0f), exp_bounded<-1>(bounded)));
}

/// min(max(x / 6 + 1/2, 0), 1) (MobileNetV3, arXiv 1905.02244, section 5.2).
inline Vec hard_sigmoid(Vec x) {
  const Vec line = fma(x, broadcast(1.0f / 6.0f), broadcast(0.5f));
  return min(broadcast(1.0f), max(zero(), line));
}

/// x / (1 + e^-x), relative error (7.5 + |x| / 4) u; 0 (of either sign) below -87, where the
/// magnitude is less than 2e-36.
inline Vec silu(Vec x) {
  const Vec one = broadcast(1.0f), low = broadcast(-87.0f);
  const Vec bounded = min(broadcast(87.0f), x);
#ifdef __AVX512F__
  const __mmask16 kept = _mm512_cmp_ps_mask(x, low, _CMP_NLT_UQ);  // true for NaN
  return _mm512_maskz_div_ps(kept, x, add(one, exp_bounded<-1, false>(bounded)));
#else
  const Vec kept = _mm256_cmp_ps(x, low, _CMP_NLT_UQ);
  return _mm256_and_ps(kept, div(x, add(one, exp_bounded<-1, false>(max(low, bounded)))));
#endif
}

#ifdef __AVX512F__
/// Phi(-a), Phi the normal distribution, for a in 2.75ths: by powers of a's distance f from the
/// nearest integer, that integer's coefficients of a minimax fit, whose error is 2 u (of 1, as Phi
/// is multiplied with a). The last piece is 0 at its end.
alignas(64) inline constexpr float kNormalTail[5][16] = {
    {0.5f, 0.358064801f, 0.233529449f, 0.13765645f, 0.0728975683f, 0.0345181711f, 0.0145614743f,
     0.00545677776f, 0.00181240728f, 0.000532576407f, 0.00013825731f, 3.16714286e-05f,
     6.39598238e-06f, 1.13780209e-06f, 1.78181949e-07f, 1.59099347e-08f},
    {-0.14506954f, -0.13578786f, -0.111358285f, -0.0800124481f, -0.0503691733f, -0.0277806595f,
     -0.0134241972f, -0.00568328472f, -0.0021080079f, -0.000685019419f, -0.000195023429f,
     -4.86428216e-05f, -1.06290145e-05f, -2.03471222e-06f, -3.41225643e-07f, -5.00151778e-08f},
    {-6.08534174e-06f, 0.00897746533f, 0.0147247519f, 0.0158699397f, 0.0133206304f, 0.00918369461f,
     0.00532538677f, 0.00263037602f, 0.00111504947f, 0.000407654268f, 0.000128959058f,
     3.53834002e-05f, 8.43511043e-06f, 1.74943409e-06f, 3.15982447e-07f, 3.26323857e-07f},
    {0.00323132286f, 0.00258317566f, 0.0011555868f, -0.000325317669f, -0.00122656068f,
     -0.0014042207f, -0.00111069856f, -0.000687868043f, -0.000349006878f, -0.000148290681f,
     -5.34272258e-05f, -1.64507001e-05f, -4.35183711e-06f, -9.92781452e-07f, -1.95851385e-07f,
     -3.4208405e-08f},
    {-7.85345474e-05f, -0.000281105808f, -0.000398000295f, -0.000314993813f, -0.000130268498f,
     2.95604259e-05f, 0.000102175858f, 0.000100408681f, 6.71671587e-05f, 3.48338399e-05f,
     1.46872753e-05f, 5.15374313e-06f, 1.52544442e-06f, 3.84142368e-07f, 8.27862863e-08f,
     -1.09131622e-06f}};

/// x Phi(x) (Hendrycks & Gimpel 2016), error 4 u |x|: the ramp less a Phi(-a), a = |x|; beyond the
/// last piece a stays at its end.
inline Vec gelu(Vec x) {
  const Vec scale = broadcast(2.75f), magic = broadcast(12582912.0f);  // 1.5 * 2^23: rounds
  const Vec a = min(broadcast(5.6363635f), _mm512_abs_ps(x));
  const Vec shifted = fma(a, scale, magic);
  const Vec f = _mm512_fmsub_ps(a, scale, sub(shifted, magic));
  const __m512i piece = _mm512_castps_si512(shifted);  // its low bits
  const auto coefficient = [&](int power) {
    return _mm512_permutexvar_ps(piece, _mm512_load_ps(kNormalTail[power]));
  };
  Vec tail = coefficient(4);
#pragma GCC unroll 4
  for (int power = 3; power >= 0; --power) tail = fma(tail, f, coefficient(power));
  return _mm512_fnmadd_ps(a, tail, max(zero(), x));
}
#else
/// x Phi(x), Phi the normal distribution (Hendrycks & Gimpel 2016), error 4 u |x|: the ramp less
/// a Phi(-a), a = |x|. log2 Phi(-a) is a polynomial, a minimax fit on [0, 8] whose error is 0.8 u
/// once it is weighted with Phi(-a); beyond 8, where Phi(-a) < 2^-50, a stays at 8.
inline Vec gelu(Vec x) {
  constexpr float kLog2Tail[] = {9.230593e-08f,   -2.646586e-06f, 2.8878338e-05f, -0.00012444897f,
                                 -0.00029497503f, 0.0072682253f,  -0.05263098f,   -0.459167f,
                                 -1.1511098f,     -0.99999994f};
  const Vec a = min(broadcast(8.0f), max(x, sub(zero(), x)));
  Vec tail = broadcast(kLog2Tail[0]);
#pragma GCC unroll 9
  for (int i = 1; i < 10; ++i) tail = fma(tail, a, broadcast(kLog2Tail[i]));
  return fma(sub(zero(), a), exp2_saturating(tail), max(zero(), x));
}
#endif

}  // namespace mobileone::kernels::MOBILEONE_ISA
