#include "mobileone/kernels/quantized/bytes.hpp"
#include "mobileone/kernels/quantized/entry_points.hpp"

namespace mobileone::kernels::MOBILEONE_ISA {

void pool_bytes(const ByteMap& map, const std::uint8_t* image, int zero_point, float scale,
                float* mean) {
  const float pixels = static_cast<float>(map.height) * static_cast<float>(map.width);
  for (int block = 0; block < map.blocks(); ++block) {
    std::int64_t sums[kBlock] = {};
    for (int y = 0; y < map.height; ++y) {
      // A row's sums fit 32 bits, an image's need not.
      std::uint32_t row[kBlock] = {};
      const std::uint8_t* from = image + map.offset(block, y, 0);
      for (int x = 0; x < map.width; ++x, from += kBlock) {
#pragma GCC ivdep
        for (int c = 0; c < kBlock; ++c) row[c] += from[c];
      }
      for (int c = 0; c < kBlock; ++c) sums[c] += std::int64_t{row[c]} - zero_point * map.width;
    }
    for (int c = 0; c < kBlock; ++c) {
      mean[block * kBlock + c] = static_cast<float>(sums[c]) / pixels * scale;
    }
  }
}

}  // namespace mobileone::kernels::MOBILEONE_ISA
