#include "mobileone/kernels/quantized/bytes.hpp"
#include "mobileone/kernels/quantized/entry_points.hpp"

namespace mobileone::kernels::MOBILEONE_ISA {

void scale_bytes(const ByteScaling& scaling, const std::uint8_t* src, const float* gate,
                 std::uint8_t* dst, int begin, int end) {
  const ByteMap& map = scaling.map;
  const Quantizer quantize(scaling.result_scale, scaling.result_zero_point);
  const auto offset = static_cast<float>(scaling.zero_point);
  const float floor = scaling.relu ? 0.f : -__builtin_inff();
  for (int block = 0; block < map.blocks(); ++block) {
    for (int lane = 0; lane < kBlock; lane += kTraits.sums) {
      const Floats factor = load_floats(gate + block * kBlock + lane);
      for (int y = begin; y < end; ++y) {
        const std::ptrdiff_t row = map.offset(block, y, 0) + lane;
        for (int x = 0; x < map.width; ++x) {
          const std::ptrdiff_t at = row + std::ptrdiff_t{x} * kBlock;
          const Floats number = scaled(widen(src + at), offset, scaling.scale, factor, floor);
          store_narrow(dst + at, quantize(number));
        }
      }
    }
  }
}

}  // namespace mobileone::kernels::MOBILEONE_ISA
