#include "mobileone/kernels/quantized/entry_points.hpp"
#include "mobileone/kernels/quantized/requantize.hpp"

namespace mobileone::kernels::MOBILEONE_ISA {
namespace {

// A difference of bytes that is not 0 saturates with it, and none leaves 32 bits.
constexpr float kLargestFactor = 1024.f;

/// Pixels of a block, one to the other.
template <bool kPlain>
MOBILEONE_INLINE void scale_row(const std::uint8_t* from, int width, Sums offset,
                                const Floats (&factor)[kVectorsPerBlock],
                                const Requantize& requantize, std::uint8_t* to) {
  const auto part = [&]<int kPart>(int pixel) MOBILEONE_INLINE_LAMBDA {
    constexpr int kOf = kPart % kVectorsPerBlock;
    return nearest(scaled_sums(add(widen_part<kOf>(from + pixel * kBlock), offset), factor[kOf]));
  };
  for (; width > 0; width -= kPixelsPerVector) {
    const Bytes x = transpose_lanes(requantize.pack<kPlain>(
        part.template operator()<0>(0), part.template operator()<1>(1 / kVectorsPerBlock),
        part.template operator()<2>(2 / kVectorsPerBlock),
        part.template operator()<3>(3 / kVectorsPerBlock)));
    if (width >= kPixelsPerVector) {
      store(to, x);
    } else {
      store_pixels(to, x, width);
    }
    from += kPixelsPerVector * kBlock;
    to += kPixelsPerVector * kBlock;
  }
}

}  // namespace

void scale_bytes(const ByteScaling& scaling, const std::uint8_t* src, const float* factors,
                 std::uint8_t* dst, int begin, int end) {
  const ByteMap& map = scaling.map;
  const Requantize requantize(scaling.range);
  const Sums offset = broadcast_sum(-scaling.zero_point);
  for (int block = 0; block < map.blocks(); ++block) {
    float limited_factors[kBlock];
    for (int c = 0; c < kBlock; ++c) {
      const float factor = factors[block * kBlock + c];
      limited_factors[c] = factor > kLargestFactor    ? kLargestFactor
                           : factor < -kLargestFactor ? -kLargestFactor
                                                      : factor;
    }
    Floats factor[kVectorsPerBlock];
    factor[0] = load_part<0>(limited_factors);
    if constexpr (kVectorsPerBlock == 2) factor[1] = load_part<1>(limited_factors);
    for (int y = begin; y < end; ++y) {
      const std::ptrdiff_t row = map.offset(block, y, 0);
      if (requantize.plain()) {
        scale_row<true>(src + row, map.width, offset, factor, requantize, dst + row);
      } else {
        scale_row<false>(src + row, map.width, offset, factor, requantize, dst + row);
      }
    }
  }
}

}  // namespace mobileone::kernels::MOBILEONE_ISA
