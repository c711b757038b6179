// A depthwise convolution into a tile, and the 1x1 convolution of that tile; or one of them, from
// map to map.
#include "mobileone/kernels/quantized/byte_depthwise.hpp"
#include "mobileone/kernels/quantized/byte_microkernel.hpp"
#include "mobileone/kernels/quantized/entry_points.hpp"

namespace mobileone::kernels::MOBILEONE_ISA {
namespace {

/// Panels of a 1x1 convolution.
class Projection {
 public:
  Projection(const QuantizedBlockPlan& plan, const QuantizedBlockArgs& args)
      : panels_(plan.project()),
        map_(plan.shape.dst()),
        k_blocks_(plan.k_blocks()),
        requantize_(plan.shape.project),
        packed_(args.packed + plan.project_offset()),
        dst_(args.dst) {}

  int panels() const { return panels_.panels(); }

  struct Panel {
    int block;  // its first one of channels
    const std::byte* packed;
    // What of the next panel is to be brought: each group of pixels brings a part.
    const std::byte *ahead, *limit;
    bool straight;
  };
  /// What steps after this one read: each group of pixels brings a part.
  class After {
   public:
    After(std::span<const std::span<const std::byte>> parts, std::size_t skipped) : parts_(parts) {
      while (!parts_.empty() && skipped >= parts_[0].size()) {
        skipped -= parts_[0].size();
        parts_ = parts_.subspan(1);
      }
      at_ = skipped;
    }
    const std::byte* at(const std::byte* otherwise) const {
      return parts_.empty() ? otherwise : parts_[0].data() + at_;
    }
    void advance(std::size_t bytes) {
      if (parts_.empty() || (at_ += bytes) < parts_[0].size()) return;
      parts_ = parts_.subspan(1);
      at_ = 0;
    }

   private:
    std::span<const std::span<const std::byte>> parts_;
    std::size_t at_;
  };
  Panel panel(int index) const {
    const std::byte* const packed = packed_ + index * panels_.panel_bytes();
    const std::byte* const next = index + 1 < panels() ? packed + panels_.panel_bytes() : packed;
    return {index * panels_.traits.panel_channels() / kBlock, packed, next,
            next + panels_.weight_bytes(),
            are_straight<2>(packed + panels_.weight_bytes() + 2 * kVectorBytes, requantize_)};
  }

  /// Pixels of a panel's result from row `row` on: `t` is the first one's, channel blocks `pitch`
  /// apart.
  void run(Panel& panel, After& after, int row, const std::uint8_t* t, std::ptrdiff_t pitch,
           const int* places, int pixels) const {
    std::uint8_t* const to = dst_ + map_.offset(panel.block, row, 0);
    // The last panel may be half a one.
    const bool half = kVectorsPerBlock == 1 && panel.block + 1 == map_.blocks();
    for (int p = 0; p < pixels; p += kTraits.pixels, t += kTraits.pixels * kBlock) {
      const int count = pixels - p < kTraits.pixels ? pixels - p : kTraits.pixels;
      const BytePlaces out{to, map_.block_stride(), places + p, count};
      const bool few = count <= kTraits.pixels / 2;
      const std::byte* const brought = after.at(panel.packed);
      if (half) {
        multiply<kTraits.pixels, 1 * kVectorsPerBlock, false>(t, pitch, panel, brought, out);
      } else if (few) {
        multiply<kTraits.pixels / 2, 2, false>(t, pitch, panel, brought, out);
      } else if (panel.straight && out.are_neighbours(kTraits.pixels)) {
        multiply<kTraits.pixels, 2, true>(t, pitch, panel, brought, out);
      } else {
        multiply<kTraits.pixels, 2, false>(t, pitch, panel, brought, out);
      }
      panel.ahead += k_blocks_ * kPrefetched;
      if (panel.ahead >= panel.limit) panel.ahead = panel.packed;
      after.advance(std::size_t(k_blocks_) * 64);
    }
  }

 private:
  template <int kPixels, int kVectors, bool kStraight>
  [[gnu::noinline]] void multiply(const std::uint8_t* t, std::ptrdiff_t pitch, const Panel& panel,
                                  const std::byte* after, const BytePlaces& out) const {
    const std::byte *packed = panel.packed, *ahead = panel.ahead;
    ByteSums<kPixels, kVectors> sums;
    const std::byte* const bias = packed + panels_.weight_bytes();
    begin_sums<kPixels, kVectors>(sums, bias);
    const std::byte* const multiplier = bias + 2 * kVectorBytes;
    const int blocks = kStraight ? k_blocks_ - 1 : k_blocks_;
    for (int block = 0; block < blocks; ++block) {
#pragma GCC unroll 2
      for (int i = 0; i < kPrefetched; i += 64) __builtin_prefetch(ahead + i, 0, 2);
      ahead += kPrefetched;
      __builtin_prefetch(after, 0, 2);
      after += 64;
#pragma GCC unroll 4
      for (int i = 0; i < 4; ++i) {
        add_products<kBlock, kPixels, kVectors>(sums, t + 4 * i, packed + 2 * i * kWeightBytes);
      }
      t += pitch;
      packed += 8 * kWeightBytes;
    }
    if constexpr (kStraight) {
      finish_straight<kPixels, kVectors>(sums, t, packed, multiplier, requantize_, out);
    } else {
      write_sums<kPixels, kVectors>(sums, multiplier, requantize_, out);
    }
  }

  /// Bytes that a group of pixels brings for each block of its inputs: of a panel, which has 512 of
  /// them or 256, all within a few groups.
  static constexpr int kPrefetched = 128;

  BytePanels panels_;
  ByteMap map_;
  int k_blocks_;
  Requantize requantize_;
  const std::byte* packed_;
  std::uint8_t* dst_;
};

class BlockRun {
 public:
  BlockRun(const QuantizedBlockPlan& plan, const QuantizedBlockArgs& args)
      : plan_(plan),
        args_(args),
        projection_(plan, args),
        t_(reinterpret_cast<std::uint8_t*>(args.scratch)),
        places_(reinterpret_cast<int*>(args.scratch + plan.tile_bytes())),
        wide_(t_ + plan.tile_bytes() + plan.places_bytes()) {
    const int width = plan.shape.out_width();
    const std::ptrdiff_t row = plan.shape.dst().row_stride();
    int* place = places_;
    for (int y = 0; y < plan.tile_rows; ++y) {
      for (int x = 0; x < width; ++x) *place++ = static_cast<int>(y * row + x * kBlock);
    }
  }

  void run(int begin, int end) const {
    switch (plan_.shape.parts) {
      case BlockParts::kBoth:
        return run_tile(begin, end);
      case BlockParts::kDepthwise:
        return run_depthwise(begin, end);
      case BlockParts::kProject:
        return run_projection(begin, end);
    }
  }

 private:
  void run_tile(int begin, int end) const {
    const int width = plan_.shape.out_width();
    const std::ptrdiff_t pitch = std::ptrdiff_t{plan_.pitch()} * kBlock;
    for (int block = 0; block < plan_.k_blocks(); ++block) {
      depthwise_bytes(plan_.shape, args_.src, block, taps(block), begin, end, t_ + block * pitch,
                      std::ptrdiff_t{width} * kBlock, wide_);
    }
    Projection::After after = after_of(begin);
    for (int i = 0; i < projection_.panels(); ++i) {
      Projection::Panel panel = projection_.panel(i);
      projection_.run(panel, after, begin, t_, pitch, places_, (end - begin) * width);
    }
  }

  void run_depthwise(int begin, int end) const {
    const ByteMap map = plan_.shape.dst();
    for (int block = 0; block < plan_.k_blocks(); ++block) {
      depthwise_bytes(plan_.shape, args_.src, block, taps(block), begin, end,
                      args_.dst + map.offset(block, begin, 0), map.row_stride(), wide_);
    }
  }

  void run_projection(int begin, int end) const {
    const ByteMap map = plan_.shape.src();
    Projection::After after = after_of(begin);
    for (int i = 0; i < projection_.panels(); ++i) {
      Projection::Panel panel = projection_.panel(i);
      for (int y = begin; y < end; ++y) {
        projection_.run(panel, after, y, args_.src + map.offset(0, y, 0), map.block_stride(),
                        places_, map.width);
      }
    }
  }

  Projection::After after_of(int row) const {
    return {args_.after, std::size_t(row / plan_.tile_rows) * plan_.bring_bytes_of_tile()};
  }

  const std::byte* taps(int block) const { return args_.packed + block * plan_.taps_bytes(); }

  const QuantizedBlockPlan& plan_;
  const QuantizedBlockArgs& args_;
  Projection projection_;
  std::uint8_t* t_;
  int* places_;
  std::uint8_t* wide_;  // of a 5x5 kernel's source
};

}  // namespace

void run_quantized_block(const QuantizedBlockPlan& plan, const QuantizedBlockArgs& args, int begin,
                         int end) {
  const BlockRun run(plan, args);
  const int height = plan.shape.out_height();
  for (int index = begin; index < end; ++index) {
    const int row = index * plan.tile_rows, limit = row + plan.tile_rows;
    run.run(row, limit < height ? limit : height);
  }
}

}  // namespace mobileone::kernels::MOBILEONE_ISA
