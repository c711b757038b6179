// The first convolution: quantizes rows of the image as it needs them.
#include <algorithm>
#include <cmath>

#include "mobileone/kernels/quantized/byte_image.hpp"
#include "mobileone/kernels/quantized/byte_microkernel.hpp"
#include "mobileone/kernels/quantized/entry_points.hpp"

namespace mobileone::kernels::MOBILEONE_ISA {
namespace {

#if defined(__AVX512VNNI__)
constexpr int kPixels = 4;  // of a vector of results; weights stay in registers

template <int kVectors>
class StemWeights {
 public:
  explicit StemWeights(const std::byte* packed) {
#pragma GCC unroll 7
    for (int i = 0; i < 7; ++i) {
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) held_[i][v] = hold(packed + (2 * i + v) * kWeightBytes);
    }
  }
  /// The products of the i-th of the windows' fours.
  template <int kStride>
  MOBILEONE_INLINE void add(ByteSums<kPixels, kVectors>& sums, const std::uint8_t* at,
                            int i) const {
    add_held_products<kStride, kPixels, kVectors>(sums, at, held_[i]);
  }

 private:
  Weights held_[7][kVectors];
};
#else
constexpr int kPixels = kTraits.pixels;  // as many as make up for weights from memory

template <int kVectors>
class StemWeights {
 public:
  explicit StemWeights(const std::byte* packed) : packed_(packed) {}
  template <int kStride>
  MOBILEONE_INLINE void add(ByteSums<kPixels, kVectors>& sums, const std::uint8_t* at,
                            int i) const {
    add_products<kStride, kPixels, kVectors>(sums, at, packed_ + 2 * i * kWeightBytes);
  }

 private:
  const std::byte* packed_;
};
#endif

class ByteStem {
 public:
  ByteStem(const QuantizedStemPlan& plan, const QuantizedStemArgs& args)
      : plan_(plan),
        args_(args),
        panels_(plan.panels()),
        requantize_(plan.range),
        quantize_(plan.scale, plan.image_zero_point) {
    const int zero = plan.image_zero_point;
    const std::uint32_t pixel = static_cast<std::uint32_t>(zero * 0x10101);
    for (int slot = 0; slot < 4; ++slot) {
      std::fill_n(pixels(slot), plan.row_bytes() / 4, pixel);
    }
    for (int p = 0; p < kPixels; ++p) places_[p] = p * kBlock;
  }

  void run(int row) {
    for (int y = 2 * row - 1; y <= 2 * row + 1; ++y) fetch(y);
    const std::uint32_t* rows[3];
    for (int i = 0; i < 3; ++i) rows[i] = pixels(slot(2 * row - 1 + i));
    windows().fill(rows, plan_.width + 2);
    const ByteMap map = plan_.dst();
    for (int panel = 0; panel < panels_.panels(); ++panel) {
      const int block = panel * panels_.traits.panel_channels() / kBlock;
      std::uint8_t* const to = args_.dst + map.offset(block, row, 0);
      const std::byte* const packed = args_.packed + panel * panels_.panel_bytes();
      // The last panel may be half a one.
      if (kVectorsPerBlock == 1 && block + 1 == map.blocks()) {
        multiply_panel<1 * kVectorsPerBlock>(packed, to);
      } else {
        multiply_panel<2>(packed, to);
      }
    }
  }

 private:
  /// Pixels of four bytes from column -1 on.
  std::uint32_t* pixels(int slot) const {
    return reinterpret_cast<std::uint32_t*>(args_.scratch + slot * plan_.row_bytes());
  }
  WindowRows windows() const { return {pixels(4), pixels(5), pixels(6)}; }
  /// Slot 3 is for rows outside of the image.
  int slot(int y) const { return y < 0 || y >= plan_.height ? 3 : y % 3; }

  [[gnu::noinline]] void fetch(int y) {
    if (y < 0 || y >= plan_.height || (y >= first_ && y < next_)) return;
    if (y != next_) first_ = y;
    next_ = y + 1;
    const std::ptrdiff_t plane = std::ptrdiff_t{plan_.height} * plan_.width;
    const float* const from = args_.image + std::ptrdiff_t{y} * plan_.width;
    std::uint32_t* const to = pixels(slot(y)) + 1;
    const Quantizer quantize = quantize_;
    const auto pixels_at = [&](const float* red, std::ptrdiff_t stride) MOBILEONE_INLINE_LAMBDA {
      return merge(quantize(load_floats(red)), quantize(load_floats(red + stride)),
                   quantize(load_floats(red + 2 * stride)));
    };
    int x = 0;
    for (; x + kTraits.sums <= plan_.width; x += kTraits.sums) {
      store(to + x, pixels_at(from + x, plane));
    }
    if (x == plan_.width) return;
    float rest[3 * kTraits.sums] = {};
    for (int c = 0; c < 3; ++c) {
      std::copy_n(from + c * plane + x, plan_.width - x, rest + c * kTraits.sums);
    }
    alignas(64) std::uint32_t last[kTraits.sums];
    store(last, pixels_at(rest, kTraits.sums));
    std::copy_n(last, plan_.width - x, to + x);
  }

  template <int kVectors>
  void multiply_panel(const std::byte* packed, std::uint8_t* to) const {
    const std::byte* const multiplier = packed + panels_.weight_bytes() + 2 * kVectorBytes;
    if (are_straight<kVectors>(multiplier, requantize_)) {
      multiply<kVectors, true>(packed, to);
    } else {
      multiply<kVectors, false>(packed, to);
    }
  }

  /// A row of a panel's results.
  template <int kVectors, bool kStraight>
  [[gnu::noinline]] void multiply(const std::byte* packed, std::uint8_t* to) const {
    const WindowRows rows = windows();
    const ByteMap map = plan_.dst();
    const std::byte* const bias = packed + panels_.weight_bytes();
    const std::byte* const multiplier = bias + 2 * kVectorBytes;
    const StemWeights<kVectors> weights(packed);
    for (int x = 0; x < map.width; x += kPixels, to += kPixels * kBlock) {
      ByteSums<kPixels, kVectors> sums;
      begin_sums<kPixels, kVectors>(sums, bias);
      const auto* const first = reinterpret_cast<const std::uint8_t*>(rows.first + 2 * x);
      const auto* const second = reinterpret_cast<const std::uint8_t*>(rows.second + 2 * x);
#pragma GCC unroll 3
      for (int i = 0; i < 3; ++i) weights.template add<8>(sums, first + 4 * i, i);
#pragma GCC unroll 3
      for (int i = 0; i < 3; ++i) weights.template add<8>(sums, second + 4 * i, 3 + i);
      weights.template add<4>(sums, reinterpret_cast<const std::uint8_t*>(rows.blue + x), 6);
      const int pixels = std::min(kPixels, map.width - x);
      if constexpr (kStraight) {
#pragma GCC unroll 3
        for (int p = 0; p < kPixels; p += kPixelsPerVector) {
          if (p > 0 && p >= pixels) break;
          write_straight<kPixelsPerVector, kVectors>(
              sums + p, multiplier, requantize_, to + p * kBlock, map.block_stride(), pixels - p);
        }
      } else {
        write_sums<kPixels, kVectors>(sums, multiplier, requantize_,
                                      {to, map.block_stride(), places_, pixels});
      }
    }
  }

  const QuantizedStemPlan& plan_;
  const QuantizedStemArgs& args_;
  BytePanels panels_;
  Requantize requantize_;
  Quantizer quantize_;
  int first_ = 0, next_ = 0;  // rows that are there: [first_, next_), the last three of them
  int places_[kPixels];
};

}  // namespace

void run_quantized_stem(const QuantizedStemPlan& plan, const QuantizedStemArgs& args, int begin,
                        int end) {
  ByteStem stem(plan, args);
  for (int row = begin; row < end; ++row) stem.run(row);
}

}  // namespace mobileone::kernels::MOBILEONE_ISA
