// The stem (dense 3x3, stride 2, 3 -> C channels, bias, activation) from a plain NCHW image, alone
// or fused with the stride-2 depthwise -> pointwise block that follows it: then the stem's map is
// never stored; the depthwise reads it out of a ring of four rows.
//
// Row by row with 27 products for an output (Algorithm::kDirect), or, of float32, in windows of
// 2 x 2 outputs with 78 for four (stem_windows.hpp), which is what kStrassen stands for here.
#pragma once

#include "mobileone/kernels/block/block.hpp"

namespace mobileone::kernels {

inline constexpr int kImageChannels = 3;
inline constexpr int kStemTaps = 9 * kImageChannels;
/// Of bfloat16 a sum's taps are pairs. In the order of the sum, for each row of the window: columns
/// 0 and 1 of channel 0, of channel 1, of channel 2; column 2 of channels 0 and 1; that of channel
/// 2 and a zero.
inline constexpr int kStemPairs = 15;
/// Of a window: products of five forms of rows and five of columns, one of them twice.
inline constexpr int kStemWindowForms = 26;

/// Parts of the scratch of a stem by windows, in floats.
struct StemWindowScratch {
  static constexpr int kMostWindows = 28;  // of a strip
  static constexpr int kRowForms = 5;
  static constexpr int kLines = 3;  // of a form of rows: even, odd and differences of odd
  static constexpr int kPartials = 3;
  static constexpr int kMostFloats = 32 * kBlock;  // of a partial sum: registers

  StemWindowScratch(int out_width, int width)
      : line((ceil_div(out_width + 1, kBlock) | 1) * kBlock), zero_row(padded(width)) {}

  std::ptrdiff_t line;  // from one to the next, an odd number of cache lines
  std::ptrdiff_t zero_row;

  /// [form of rows][line][channel].
  std::ptrdiff_t forms() const { return 0; }
  std::ptrdiff_t form(int row, int which) const {
    return (row * kLines + which) * kImageChannels * line;
  }
  /// Of channel 0, what the first window has of the packed product `index`; the others' two floats
  /// apart, the other channels' a line.
  std::ptrdiff_t operand(int index) const;
  std::ptrdiff_t partials() const { return kRowForms * kLines * kImageChannels * line; }
  /// In place of a row that is not in the image.
  std::ptrdiff_t zeros() const { return partials() + kPartials * kMostFloats; }
  std::ptrdiff_t floats() const { return zeros() + zero_row; }
};

struct StemPlan {
  int height = 0;  // of the image
  int width = 0;
  int channels = 0;
  Activation activation = Activation::kRelu;
  int panel_blocks = 0;
  int per_lane = 1;  // IsaTraits::per_lane
  Algorithm algorithm = Algorithm::kDirect;

  bool by_windows() const { return algorithm == Algorithm::kStrassen; }
  int out_height() const { return (height - 1) / 2 + 1; }
  int out_width() const { return (width - 1) / 2 + 1; }
  MapShape dst() const { return {channels, out_height(), out_width()}; }
  double macs() const { return double(out_height()) * out_width() * channels * kStemTaps; }
  /// What of a pointwise plan says how the output channels are cut into panels.
  PointwisePlan panels() const {
    PointwisePlan plan;
    plan.n_blocks = blocks(channels);
    plan.panel_blocks = panel_blocks;
    return plan;
  }
  /// Products of a sum, each of per_lane numbers; or of a window.
  int products() const {
    if (by_windows()) return kStemWindowForms * kImageChannels;
    return per_lane == 1 ? kStemTaps : kStemPairs;
  }
  /// Windows of a strip, but for the last one's: whole groups of the microkernel's.
  int strip_windows() const;
  /// Packed: bias [16 blocks], then panels [products][width], of float32 ordered ky, channel, kx;
  /// those of windows as stem_windows.hpp says.
  std::size_t packed_bytes() const;
  /// Floats of one zero-padded image row in scratch, whose first pixel is aligned as maps are.
  std::ptrdiff_t row_floats() const { return kBlock + ceil_div(width + 2, kBlock) * kBlock; }
  /// Floats of one row of pairs, of an output's columns 0 and 1 or of its column 2.
  std::ptrdiff_t pair_floats() const { return ceil_div(out_width() + 1, kBlock) * kBlock + kBlock; }
  /// Scratch of the stem itself: three padded rows of the image, their pairs, or forms of five
  /// rows and partial sums.
  std::ptrdiff_t scratch_floats() const {
    if (by_windows()) return StemWindowScratch(out_width(), width).floats();
    if (per_lane == 1) return 9 * row_floats() + kBlock;
    return kStemPairs * pair_floats();
  }
  std::size_t scratch_bytes() const { return sizeof(float) * std::size_t(scratch_floats()); }
};

/// Throws std::invalid_argument for sizes < 1, and for kStrassen of bfloat16.
StemPlan plan_stem(const IsaTraits& isa, int height, int width, int channels,
                   Activation activation = Activation::kRelu,
                   Algorithm algorithm = Algorithm::kDirect);

/// weight [channels][3][3][3], bias [channels] or null.
void pack_stem(const StemPlan& plan, const float* weight, const float* bias, float* packed);

struct StemArgs {
  const float* image = nullptr;  // [3][height][width]
  float* dst = nullptr;          // blocked map
  const float* packed = nullptr;
  void* scratch = nullptr;
};

/// Scratch of stem + block in one: the block's, the stem's, and the stem's rows: a ring of whole
/// ones, or both of a strip of windows.
struct StemBlockPlan {
  StemPlan stem;
  BlockPlan block;  // its input map is the stem's output; no expansion, no squeeze-and-excite

  std::ptrdiff_t ring_row_floats() const { return std::ptrdiff_t{stem.out_width() + 2} * kBlock; }
  std::ptrdiff_t ring_block_floats() const { return 5 * ring_row_floats(); }  // 4 rows + 1 of zeros
  /// Of a channel block two rows of a strip, from the column before it on, and the sums that its
  /// next output row begins with.
  static constexpr std::ptrdiff_t strip_row_floats() {
    return (2 * StemWindowScratch::kMostWindows + 1) * kBlock;
  }
  std::ptrdiff_t sums_floats() const { return std::ptrdiff_t{block.shape.out_width()} * kBlock; }
  std::ptrdiff_t strip_block_floats() const { return 2 * strip_row_floats() + sums_floats(); }

  std::ptrdiff_t rows_offset() const {
    return static_cast<std::ptrdiff_t>(block.scratch_bytes() / sizeof(float)) +
           stem.scratch_floats();
  }
  std::size_t scratch_bytes() const {
    const std::ptrdiff_t floats = stem.by_windows() ? strip_block_floats() : ring_block_floats();
    return sizeof(float) * std::size_t(rows_offset() + blocks(stem.channels) * floats);
  }
};

/// Throws std::invalid_argument when the block's input is not the stem's output, or for another
/// block than a 3x3 depthwise with stride 2 and a projection.
StemBlockPlan plan_stem_block(const StemPlan& stem, const BlockPlan& block);

struct StemBlockArgs {
  const float* image = nullptr;
  float* dst = nullptr;  // blocked map of the block's output
  const float* stem_packed = nullptr;
  const float* block_packed = nullptr;
  void* scratch = nullptr;
};

}  // namespace mobileone::kernels
