#include "mobileone/kernels/maps/map_elements.hpp"

#include "mobileone/kernels/entry_points.hpp"
#include "mobileone/kernels/simd/epilogue.hpp"

namespace mobileone::kernels::MOBILEONE_ISA {
namespace {

template <bool kScales, bool kAdds>
void sum_row(const MapSum& sum, int block, std::ptrdiff_t at, Vec floor) {
  const std::ptrdiff_t floats = std::ptrdiff_t{sum.shape.width} * kBlock;
  for (int lane = 0; lane < kBlock; lane += kLanes) {
    const Vec factor = kScales ? load(sum.factor + block * kBlock + lane) : zero();
    for (std::ptrdiff_t i = at + lane; i < at + floats; i += kBlock) {
      Vec v = load(sum.a + i);
      if constexpr (kScales) v = mul(v, factor);
      if constexpr (kAdds) v = add(v, load(sum.b + i));
      store(sum.dst + i, max(floor, v));
    }
  }
}

/// The larger one; NaN where either is.
Vec maximum(Vec a, Vec b) {
#ifdef __AVX512F__
  return _mm512_mask_mov_ps(max(a, b), _mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q), a);
#else
  return _mm256_blendv_ps(max(a, b), a, _mm256_cmp_ps(a, a, _CMP_UNORD_Q));
#endif
}

/// Of the windows around one output pixel's place: rows and columns inside of the map.
struct Inside {
  int begin, end;
  Inside(int place, int kernel, int extent)
      : begin(place > 0 ? place : 0), end(place + kernel < extent ? place + kernel : extent) {}
};

}  // namespace

void sum_maps(const MapSum& sum, int block_begin, int block_end) {
  const Vec floor = broadcast(activation_floor(sum.activation));
  const auto row = sum.factor != nullptr
                       ? (sum.b != nullptr ? sum_row<true, true> : sum_row<true, false>)
                       : (sum.b != nullptr ? sum_row<false, true> : sum_row<false, false>);
  const std::ptrdiff_t floats = std::ptrdiff_t{sum.shape.width} * kBlock;
  for (int block = block_begin; block < block_end; ++block) {
    for (int y = 0; y < sum.shape.height; ++y) {
      const std::ptrdiff_t at = sum.shape.offset(block, y, 0);
      row(sum, block, at, floor);
      activate_in_place(sum.activation, sum.dst + at, floats);
    }
  }
}

void max_map(const MapMaxima& maxima, const float* src, float* dst, int block_begin,
             int block_end) {
  const MapShape out = maxima.dst();
  for (int block = block_begin; block < block_end; ++block) {
    for (int y = 0; y < out.height; ++y) {
      const Inside rows(y * maxima.stride - maxima.padding, maxima.kernel, maxima.src.height);
      for (int x = 0; x < out.width; ++x) {
        const Inside columns(x * maxima.stride - maxima.padding, maxima.kernel, maxima.src.width);
        for (int lane = 0; lane < kBlock; lane += kLanes) {
          Vec best = load(src + maxima.src.offset(block, rows.begin, columns.begin) + lane);
          for (int ky = rows.begin; ky < rows.end; ++ky) {
            const float* pixel = src + maxima.src.offset(block, ky, columns.begin) + lane;
            for (int kx = columns.begin; kx < columns.end; ++kx, pixel += kBlock) {
              best = maximum(best, load(pixel));
            }
          }
          store(dst + out.offset(block, y, x) + lane, best);
        }
      }
    }
  }
}

}  // namespace mobileone::kernels::MOBILEONE_ISA
