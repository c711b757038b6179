#include "mobileone/kernels/simd/epilogue.hpp"

#include "mobileone/kernels/simd/activations.hpp"

namespace mobileone::kernels::MOBILEONE_ISA {
namespace {

#ifdef __AVX512F__
// SiLU of two vectors, as silu in math.hpp for |x| <= 87 (beyond, e^-x is that of +-87), but with
// shorter steps of the exponential and one term less, and log2(e) in one part: the error is
// (6 + |x| / 4) u, relative, and large only where the result is close to 0.
//
// Written step by step for both vectors, because the chain of one is longer than what the core
// looks ahead. The divider works beside the multipliers.
__attribute__((always_inline)) inline void silu_block(float* first, float* second, Vec x, Vec y) {
  const Vec limit = broadcast(87.0f), scale = broadcast(-kLog2E), one = broadcast(1.0f);
  const Vec magic = broadcast(393216.0f);  // 1.5 * 2^18: the last place is 1/32
  const Vec low = _mm512_load_ps(kExp2ThirtySeconds),
            high = _mm512_load_ps(kExp2ThirtySeconds + 16);
  Vec argument[2] = {x, y}, shifted[2], n[2], f[2], power[2], d[2];
  const auto both = [](const auto& step) __attribute__((always_inline)) {
    step(0);
    step(1);
  };
  // The smaller magnitude, with the argument's sign.
  both([&](int i) { argument[i] = _mm512_range_ps(argument[i], limit, 0x2); });
  both([&](int i) { shifted[i] = fma(argument[i], scale, magic); });
  both([&](int i) { n[i] = sub(shifted[i], magic); });
  both([&](int i) { f[i] = _mm512_fmsub_ps(argument[i], scale, n[i]); });
  both([&](int i) {
    power[i] = _mm512_permutex2var_ps(low, _mm512_castps_si512(shifted[i]), high);
  });
  both([&](int i) { d[i] = fma(broadcast(0.240229f), f[i], broadcast(0.6931574f)); });
  both([&](int i) { f[i] = mul(power[i], f[i]); });
  both([&](int i) { d[i] = fma(f[i], d[i], power[i]); });
  both([&](int i) { d[i] = _mm512_scalef_ps(d[i], n[i]); });
  both([&](int i) { d[i] = add(one, d[i]); });
  store(first, div(x, d[0]));
  store(second, div(y, d[1]));
}
#else
// As with AVX-512, in steps of 1/8 and with a term more.
__attribute__((always_inline)) inline void silu_block(float* first, float* second, Vec x, Vec y) {
  const Vec limit = broadcast(87.0f), scale = broadcast(-kLog2E);
  const Vec magic = broadcast(1572864.0f);  // 1.5 * 2^20: the last place is 1/8
  const Vec eighths = load(reinterpret_cast<const float*>(kExp2Eighths));
  const Vec argument[2] = {x, y};
  Vec bounded[2], shifted[2], f[2], power[2], d[2];
  const auto both = [](const auto& step) __attribute__((always_inline)) {
    step(0);
    step(1);
  };
  both([&](int i) { bounded[i] = max(broadcast(-87.0f), min(limit, argument[i])); });
  both([&](int i) { shifted[i] = fma(bounded[i], scale, magic); });
  both([&](int i) { f[i] = _mm256_fmsub_ps(bounded[i], scale, sub(shifted[i], magic)); });
  both([&](int i) {
    const __m256i bits = _mm256_castps_si256(shifted[i]);
    const __m256i table = _mm256_castps_si256(_mm256_permutevar8x32_ps(eighths, bits));
    power[i] = _mm256_castsi256_ps(_mm256_add_epi32(table, _mm256_slli_epi32(bits, 20)));
  });
  both([&](int i) { d[i] = fma(broadcast(0.055496223f), f[i], broadcast(0.24025764f)); });
  both([&](int i) { d[i] = fma(d[i], f[i], broadcast(0.69314724f)); });
  both([&](int i) { f[i] = mul(power[i], f[i]); });
  both([&](int i) { d[i] = add(broadcast(1.0f), fma(f[i], d[i], power[i])); });
  store(first, div(x, d[0]));
  store(second, div(y, d[1]));
}
#endif

/// Two vectors at a time. SiLU has a form for both of them that is faster than either alone.
template <Activation kActivation>
__attribute__((always_inline)) inline void activate_pair(float* first, float* second, Vec x,
                                                         Vec y) {
  if constexpr (kActivation == Activation::kSilu) {
    silu_block(first, second, x, y);
  } else {
    store(first, activate<kActivation>(x));
    store(second, activate<kActivation>(y));
  }
}

template <Activation kActivation, typename Argument>
__attribute__((always_inline)) inline void activate_all(float* data, std::ptrdiff_t count,
                                                        const Argument& argument) {
  std::ptrdiff_t i = 0;
  for (; i + 2 * kLanes <= count; i += 2 * kLanes) {
    activate_pair<kActivation>(data + i, data + i + kLanes, argument(i), argument(i + kLanes));
  }
  if (i < count) {
    float unused[kLanes];
    activate_pair<kActivation>(data + i, unused, argument(i), zero());
  }
}

// Apart, because together they would have more constants than AVX2 has registers.
template <Activation kActivation>
void finish(const float*, float* data, std::ptrdiff_t count) {
  if constexpr (kActivation == Activation::kNone) return;
  activate_all<kActivation>(
      data, count, [&](std::ptrdiff_t i) __attribute__((always_inline)) { return load(data + i); });
}

template <Activation kActivation>
void finish_sum(const float* other, float* data, std::ptrdiff_t count) {
  activate_all<kActivation>(data, count, [&](std::ptrdiff_t i) __attribute__((always_inline)) {
    return add(load(data + i), load(other + i));
  });
}

using Finish = void (*)(const float*, float*, std::ptrdiff_t);
#define MOBILEONE_FINISH(kind, ...) {finish<Activation::kind>, finish_sum<Activation::kind>},
constexpr Finish kFinish[][2] = {MOBILEONE_ACTIVATIONS(MOBILEONE_FINISH)};
#undef MOBILEONE_FINISH

}  // namespace

void finish_in_place(Activation activation, const float* other, float* data, std::ptrdiff_t count) {
  kFinish[static_cast<int>(activation)][other != nullptr](other, data, count);
}

void keep_padding_zero(Activation activation, int channels, float* data, std::ptrdiff_t count) {
  if (channels >= kBlock || is_floor(activation)) return;
  float lanes[kLanes];
  store(lanes, activate(activation, zero()));
  if (lanes[0] == 0.0f) return;
  for (std::ptrdiff_t i = 0; i < count; i += kBlock) {
    for (int lane = channels; lane < kBlock; ++lane) data[i + lane] = 0.0f;
  }
}

void finish_rows(const Epilogue& epilogue, const MapShape& shape, const MapPart& part,
                 const float* residual, float* map) {
  if (epilogue.floor_only()) return;
  const std::ptrdiff_t floats = std::ptrdiff_t{shape.width} * kBlock;
  for (int block = part.block_begin; block < part.block_end; ++block) {
    for (int y = part.row_begin; y < part.row_end; ++y) {
      const std::ptrdiff_t at = shape.offset(block, y, 0);
      finish_in_place(epilogue.activation, epilogue.residual ? residual + at : nullptr, map + at,
                      floats);
      keep_padding_zero(epilogue.activation, shape.channels - block * kBlock, map + at, floats);
    }
  }
}

}  // namespace mobileone::kernels::MOBILEONE_ISA
