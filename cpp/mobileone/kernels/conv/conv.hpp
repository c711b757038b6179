// Dense convolutions on blocked maps: 1x1, and 3x3 with any dilation and as much padding, of stride
// 1 or 2. With bias, an optional map that is added, and an activation; of one source or of two,
// whose channels lie one after the other (a concatenation that is never made).
//
// Three ways to the same sums. Row by row (ConvPlan::by_rows), a microkernel reads its pixels where
// they are, one run of neighbours per tap, or of every other pixel for a stride of 2. Or, tile by
// tile, the source pixels of whole output rows are gathered into T[K/16][pixels][16] (for 3x3
// kernels: im2col, K = 9 C), and a pointwise product (pointwise_plan.hpp) does the rest: for narrow
// maps, whose rows fill no microkernel, and for Strassen's algorithm.
//
// Third, of a 3x3 kernel whose result has even sides, Winograd's minimal filtering F(2x2, 3x3)
// (Lavin and Gray, arXiv 1509.09308, section 4.1), which is what Algorithm::kStrassen stands for
// there: 16 products of tiles and channels in place of 36, or 25 or 22.5 for a stride of 2
// (winograd.hpp).
//
// A dilated kernel goes by rows, whatever their width. Its taps reach further than a map's border:
// a row is cut where a tap enters or leaves the map, and each piece has runs of the taps that are
// inside. At 32 x 32 pixels and dilations 6, 12 and 18 that is 77, 56 and 39 % of the products. Or,
// as Algorithm::kStrassen, phase by phase with fewer still (phases.hpp).
//
// Use: plan_conv once per shape, pack_conv once per set of weights, then KernelTable::run_conv per
// image. The work of one image is plan.units() independent units; a thread runs any contiguous
// range of them with scratch of its own.
#pragma once

#include "mobileone/kernels/activation.hpp"
#include "mobileone/kernels/tiling/tiling.hpp"

namespace mobileone::kernels {

struct ConvShape {
  int channels_in = 0;
  int channels_in2 = 0;  // of the second source; 0: there is none
  int channels_out = 0;
  int height = 0;
  int width = 0;
  int kernel = 1;  // 1 or 3
  Epilogue epilogue = {};
  int dilation = 1;  // of a 3x3 kernel, whose padding is the same
  int stride = 1;    // 1 or 2; 1 of a dilated kernel

  int taps() const { return kernel * kernel; }
  int source_blocks() const { return blocks(channels_in) + blocks(channels_in2); }
  /// 16-channel blocks of T.
  int k_blocks() const { return taps() * source_blocks(); }
  MapShape src() const { return {channels_in, height, width}; }
  MapShape src2() const { return {channels_in2, height, width}; }
  int out_height() const { return (height - 1) / stride + 1; }
  int out_width() const { return (width - 1) / stride + 1; }
  MapShape dst() const { return {channels_out, out_height(), out_width()}; }
  /// Multiply-accumulates.
  double macs() const;
};

/// Outputs that Winograd's algorithm makes of a window of the source: two rows by two columns of
/// stride 1 or 2, or by four of stride 2, where the matrices of weights stay small.
enum class Windows { kPlain, kStrided, kWide };
Windows windows_of(const ConvShape& shape);
constexpr int window_columns(Windows windows) { return windows == Windows::kWide ? 4 : 2; }
/// Forms of the kernel, each multiplied by one of the source.
constexpr int winograd_forms(Windows windows) {
  return windows == Windows::kPlain ? 16 : windows == Windows::kStrided ? 25 : 45;
}

struct ConvPlan {
  ConvShape shape;
  PointwisePlan pointwise;
  int tile_rows = 0;  // these three as in Tiling, clipped to what the shape has
  int column_parts = 1;
  bool weights_stay = false;
  bool by_rows = false;
  bool winograd = false;  // `pointwise` is then one of the products, of a tile's windows
  bool phases = false;    // those of a dilated kernel (phases.hpp): tile_rows are rows of windows

  /// Matrices of weights for one source: 1 but for Winograd's.
  int products() const;
  /// What is cut into tiles.
  int rows() const;
  int tiles() const { return ceil_div(rows(), tile_rows); }
  int units() const { return tiles() * column_parts; }
  /// First panel of a column part (part == column_parts: the end).
  int first_panel(int part) const { return pointwise.num_panels() * part / column_parts; }

  // Packed weights: bias [16 n_blocks], panels.
  std::ptrdiff_t panels_offset() const { return std::ptrdiff_t{pointwise.n_blocks} * kBlock; }
  std::ptrdiff_t panels_floats() const { return pointwise.packed_floats() * products(); }
  std::size_t packed_bytes() const {
    return sizeof(float) * static_cast<std::size_t>(panels_offset() + panels_floats());
  }
  /// Scratch that each concurrent caller of run_conv needs, aligned to kAlignment.
  std::size_t scratch_bytes() const;
};

/// Pointers of one run over one image. Maps are blocked (layout.hpp), with zero borders.
struct ConvArgs {
  const float* src = nullptr;
  // Of a source of which a few rows are there at a time: src is that of row `first_row`, in blocks
  // of `rows` rows, those of the border included. 0: src is the whole map.
  int rows = 0;
  int first_row = 0;
  const float* src2 = nullptr;      // required when shape.channels_in2 > 0
  const float* residual = nullptr;  // a map of the output's shape, required when epilogue.residual
  float* dst = nullptr;
  const float* packed = nullptr;  // pack_conv
  void* scratch = nullptr;
  // As in BlockArgs: what the next step reads first, and what the previous one was asked to fetch.
  const float* next_data = nullptr;
  std::ptrdiff_t next_floats = 0;
  std::ptrdiff_t fetched_floats = 0;
};

/// Whether rows of so many output pixels, cut into runs, keep the multipliers busy.
bool fills_microkernels(const IsaTraits& isa, int width);

/// Whether this shape can be run with fewer products: by Strassen's algorithm, or a 3x3 kernel by
/// Winograd's.
bool strassen_applies(const ConvShape& shape);

/// Throws std::invalid_argument for sizes < 1, a kernel other than 1 or 3, a stride other than 1 or
/// 2, a 1x1 kernel or a stride with a dilation, a tiling with a value < 1, and for kStrassen where
/// it does not apply. `isa` is that of the KernelTable that will run the plan.
ConvPlan plan_conv(const IsaTraits& isa, const ConvShape& shape, const Tiling& tiling);

/// weight [channels_out][channels_in + channels_in2][kernel][kernel], bias [channels_out] or null
/// (zero). `packed` holds plan.packed_bytes(), aligned to kAlignment.
void pack_conv(const ConvPlan& plan, const float* weight, const float* bias, float* packed);

}  // namespace mobileone::kernels
