#include "mobileone/kernels/quantized/byte_map.hpp"

#include <cstring>

namespace mobileone::kernels {

void fill_border(const ByteMap& map, int zero_point, std::uint8_t* image) {
  const auto fill = [&](std::ptrdiff_t at, std::ptrdiff_t bytes) {
    std::memset(image + at, zero_point, static_cast<std::size_t>(bytes));
  };
  for (int block = 0; block < map.blocks(); ++block) {
    fill(map.offset(block, -1, -1), map.row_stride());
    fill(map.offset(block, map.height, -1), map.row_stride());
    for (int y = 0; y < map.height; ++y) {
      fill(map.offset(block, y, -1), kBlock);
      fill(map.offset(block, y, map.width), kBlock);
    }
  }
}

}  // namespace mobileone::kernels
