#include "mobileone/kernels/quantized/bytes.hpp"
#include "mobileone/kernels/quantized/entry_points.hpp"

namespace mobileone::kernels::MOBILEONE_ISA {

void pool_bytes(const ByteMap& map, const std::uint8_t* image, int zero_point, float scale,
                float* mean) {
  const std::int64_t pixels = std::int64_t{map.height} * map.width;
  for (int block = 0; block < map.blocks(); ++block) {
    for (int lane = 0; lane < kBlock; lane += kTraits.sums) {
      // As unsigned numbers they fit 32 bits up to 4096 x 4096 pixels.
      Sums sums[2] = {zero_sums(), zero_sums()};
      for (int y = 0; y < map.height; ++y) {
        const std::uint8_t* from = image + map.offset(block, y, 0) + lane;
        int x = 0;
        for (; x + 2 <= map.width; x += 2, from += 2 * kBlock) {
          sums[0] = add(sums[0], widen_sums(from));
          sums[1] = add(sums[1], widen_sums(from + kBlock));
        }
        if (x < map.width) sums[0] = add(sums[0], widen_sums(from));
      }
      alignas(64) std::uint32_t total[kTraits.sums];
      store(total, add(sums[0], sums[1]));
      for (int c = 0; c < kTraits.sums; ++c) {
        const auto sum = static_cast<float>(std::int64_t{total[c]} - zero_point * pixels);
        mean[block * kBlock + lane + c] = sum / static_cast<float>(pixels) * scale;
      }
    }
  }
}

}  // namespace mobileone::kernels::MOBILEONE_ISA
