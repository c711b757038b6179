// A depthwise convolution into a tile, and the 1x1 convolution of that tile.
#include "mobileone/kernels/quantized/byte_depthwise.hpp"
#include "mobileone/kernels/quantized/byte_microkernel.hpp"
#include "mobileone/kernels/quantized/entry_points.hpp"

namespace mobileone::kernels::MOBILEONE_ISA {
namespace {

class ByteTile {
 public:
  ByteTile(const QuantizedBlockPlan& plan, const QuantizedBlockArgs& args)
      : plan_(plan),
        args_(args),
        panels_(plan.project()),
        requantize_(plan.shape.project),
        t_(reinterpret_cast<std::uint8_t*>(args.scratch)),
        places_(reinterpret_cast<int*>(args.scratch + plan.tile_bytes())) {
    const int width = plan.shape.out_width();
    const std::ptrdiff_t row = plan.shape.dst().row_stride();
    for (int p = 0; p < plan.tile_pixels(); ++p) {
      places_[p] = static_cast<int>(p / width * row + p % width * kBlock);
    }
  }

  void run(int index) const {
    const int begin = index * plan_.tile_rows;
    const int limit = begin + plan_.tile_rows, height = plan_.shape.out_height();
    const int end = limit < height ? limit : height;
    for (int block = 0; block < plan_.k_blocks(); ++block) {
      depthwise_bytes(plan_.shape, args_.src, block, args_.packed + block * plan_.taps_bytes(),
                      begin, end, t_ + block * pitch());
    }
    const int pixels = (end - begin) * plan_.shape.out_width();
    for (int panel = 0; panel < panels_.panels(); ++panel) project(panel, begin, pixels);
  }

 private:
  std::ptrdiff_t pitch() const { return std::ptrdiff_t{plan_.pitch()} * kBlock; }

  void project(int panel, int row, int pixels) const {
    const std::byte* const packed =
        args_.packed + plan_.k_blocks() * plan_.taps_bytes() + panel * panels_.panel_bytes();
    const int block = panel * panels_.traits.panel_channels() / kBlock;
    const ByteMap map = plan_.shape.dst();
    std::uint8_t* const to = args_.dst + map.offset(block, row, 0);
    // The last panel may be half a one.
    const bool half = kVectorsPerBlock == 1 && block + 1 == map.blocks();
    for (int p = 0; p < pixels; p += kTraits.pixels) {
      const int count = pixels - p < kTraits.pixels ? pixels - p : kTraits.pixels;
      const BytePlaces places{to, map.block_stride(), places_ + p, count};
      if (half) {
        multiply<1 * kVectorsPerBlock>(p, packed, places);
      } else {
        multiply<2>(p, packed, places);
      }
    }
  }

  template <int kVectors>
  [[gnu::noinline]] void multiply(int pixel, const std::byte* packed,
                                  const BytePlaces& places) const {
    const std::ptrdiff_t pitch = this->pitch();
    const std::uint8_t* t = t_ + std::ptrdiff_t{pixel} * kBlock - pitch;
    const auto next = [=]() mutable MOBILEONE_INLINE_LAMBDA { return t += pitch; };
    multiply_bytes<kVectors, kBlock, 4>(next, plan_.k_blocks(), packed, panels_.weight_bytes(),
                                        requantize_, places);
  }

  const QuantizedBlockPlan& plan_;
  const QuantizedBlockArgs& args_;
  BytePanels panels_;
  Requantize requantize_;
  std::uint8_t* t_;
  int* places_;
};

}  // namespace

void run_quantized_block(const QuantizedBlockPlan& plan, const QuantizedBlockArgs& args, int begin,
                         int end) {
  const ByteTile tile(plan, args);
  for (int index = begin; index < end; ++index) tile.run(index);
}

}  // namespace mobileone::kernels::MOBILEONE_ISA
