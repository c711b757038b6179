#include "mobileone/kernels/quantized/bytes.hpp"
#include "mobileone/kernels/quantized/entry_points.hpp"

namespace mobileone::kernels::MOBILEONE_ISA {
namespace {

// As unsigned numbers sums fit 32 bits up to 4096 x 4096 pixels.
#if defined(__AVX512VNNI__)
/// Adds a row's pixels of a block, four at a time.
MOBILEONE_INLINE void add_row(const std::uint8_t* from, int width, Bytes least, Sums (&sums)[1]) {
  for (; width > 0; width -= 4, from += 4 * kBlock) {
    const unsigned ones = width >= 4 ? 0x01010101u : 0x01010101u >> 8 * (4 - width);
    sums[0] = dot(sums[0], larger_bytes(four_columns(from), least),
                  broadcast_sum(static_cast<int>(ones)));
  }
}
#else
MOBILEONE_INLINE void add_row(const std::uint8_t* from, int width, Bytes least, Sums (&sums)[2]) {
  const Sums wide = _mm256_srli_epi32(least, 24);
  for (int x = 0; x < width; ++x, from += kBlock) {
    sums[0] = add(sums[0], larger(widen_part<0>(from), wide));
    sums[1] = add(sums[1], larger(widen_part<1>(from), wide));
  }
}
#endif

}  // namespace

void pool_bytes(const ByteMap& map, const std::uint8_t* image, const BytePooling& pooling,
                float* mean) {
  const std::int64_t pixels = std::int64_t{map.height} * map.width;
  for (int block = 0; block < map.blocks(); ++block) {
    Sums sums[kVectorsPerBlock] = {};
    for (int y = 0; y < map.height; ++y) {
      add_row(image + map.offset(block, y, 0), map.width, broadcast_bytes(pooling.least), sums);
    }
    std::uint32_t total[kBlock];
    store_part<0>(total, sums[0]);
    if constexpr (kVectorsPerBlock == 2) store_part<1>(total, sums[1]);
    for (int c = 0; c < kBlock; ++c) {
      const auto sum = static_cast<float>(std::int64_t{total[c]} - pooling.zero_point * pixels);
      mean[block * kBlock + c] = sum / static_cast<float>(pixels) * pooling.scale;
    }
  }
}

}  // namespace mobileone::kernels::MOBILEONE_ISA
