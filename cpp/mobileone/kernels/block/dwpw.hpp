// One MobileOne block in inference form: depthwise 3x3 -> pointwise 1x1, each with bias and an
// optional ReLU and squeeze-and-excite, executed tile by tile so that the map between the two
// convolutions only ever exists in scratch.
//
// Use: plan_dwpw once per shape, pack_dwpw once per set of weights, then KernelTable::run_dwpw per
// image. The work of one image is plan.units() independent units; a thread runs any contiguous
// range of them with scratch of its own.
#pragma once

#include "mobileone/kernels/block/squeeze_excite.hpp"
#include "mobileone/kernels/pointwise/pointwise_plan.hpp"

namespace mobileone::kernels {

struct DwPwShape {
  int channels_in = 0;
  int channels_out = 0;
  int height = 0;  // of the input map
  int width = 0;
  int stride = 1;  // 1 or 2; padding is 1
  bool depthwise_relu = true;
  bool pointwise_relu = true;
  bool depthwise_se = false;  // squeeze-and-excite between the depthwise bias and its ReLU

  int out_height() const { return (height - 1) / stride + 1; }
  int out_width() const { return (width - 1) / stride + 1; }
  MapShape src() const { return {channels_in, height, width}; }
  MapShape dst() const { return {channels_out, out_height(), out_width()}; }
  /// Multiply-accumulates of the two convolutions.
  double macs() const;
};

/// How a block is cut up. Any choice is correct; choose_tiling (cost_model.hpp) makes a fast one.
struct Tiling {
  Algorithm algorithm = Algorithm::kDirect;
  int tile_rows = 1;          // output rows per tile; with depthwise_se, per pointwise call
  int column_parts = 1;       // each tile's output channels are cut into this many units
  bool weights_stay = false;  // all panels and a tile fit L2: only the first tile fetches them
};

struct DwPwPlan {
  DwPwShape shape;
  PointwisePlan pointwise;
  bool weights_stay = false;  // as in Tiling
  int tile_rows = 0;          // as in Tiling, clipped to what the shape has
  int column_parts = 1;

  /// Rows of T: a squeeze-and-excite pools the whole map before the pointwise may start.
  int depthwise_rows() const { return shape.depthwise_se ? shape.out_height() : tile_rows; }
  int tiles() const { return ceil_div(shape.out_height(), depthwise_rows()); }
  int units() const { return tiles() * column_parts; }
  /// From the start of the packed weights to the end of the first panel: what a step reads first.
  std::ptrdiff_t first_floats() const {
    return panels_offset() + pointwise.panel_offset(pointwise.panel(0).num_blocks);
  }
  /// First panel of a column part (part == column_parts: the end).
  int first_panel(int part) const { return pointwise.num_panels() * part / column_parts; }

  // Packed weights: depthwise taps [blocks][10][16], pointwise bias [16 n_blocks], panels.
  std::ptrdiff_t bias_offset() const { return std::ptrdiff_t{pointwise.k_blocks} * 10 * kBlock; }
  std::ptrdiff_t panels_offset() const { return bias_offset() + pointwise.n_blocks * kBlock; }
  std::size_t packed_bytes() const;
  /// Scratch that each concurrent caller of run_dwpw needs, aligned to kAlignment.
  std::size_t scratch_bytes() const;
};

/// Pointers of one run over one image. Maps are blocked (layout.hpp), with zero borders.
struct DwPwArgs {
  const float* src = nullptr;
  float* dst = nullptr;
  const float* packed = nullptr;     // pack_dwpw
  const float* src_scale = nullptr;  // [padded(channels_in)] or null: multiplies the source
  const SqueezeExcite* depthwise_se = nullptr;  // required when shape.depthwise_se
  float* dst_sums = nullptr;  // [padded(channels_out)] or null: += sums over pixels of the output
                              // before its ReLU (what the next squeeze-and-excite pools)
  void* scratch = nullptr;
  // What the next step reads, brought into L2 by this one: its first weights during the last
  // products; and of what L2 cannot hold (the classifier's weights) as much as there is time for.
  const float* next_panel = nullptr;
  std::ptrdiff_t next_panel_floats = 0;
  const float* next_data = nullptr;
  std::ptrdiff_t next_floats = 0;
  // How many floats at the start of `packed` the previous step was asked to fetch in that way.
  std::ptrdiff_t fetched_floats = 0;
};

/// Whether Strassen's algorithm can run this shape.
bool strassen_applies(const DwPwShape& shape);

/// Throws std::invalid_argument for sizes < 1, a stride other than 1 or 2, a tiling with a value <
/// 1, and for kStrassen where it does not apply. tile_rows is clipped to the output height.
/// `panel_blocks` comes from the KernelTable that will run the plan.
DwPwPlan plan_dwpw(int panel_blocks, const DwPwShape& shape, const Tiling& tiling);

/// depthwise [channels_in][3][3], pointwise [channels_out][channels_in], biases or null (zero).
/// `packed` holds plan.packed_bytes(), aligned to kAlignment.
void pack_dwpw(const DwPwPlan& plan, const float* depthwise, const float* depthwise_bias,
               const float* pointwise, const float* pointwise_bias, float* packed);

/// The depthwise taps alone: [blocks][10][16], 9 weights then the bias.
void pack_depthwise(int channels, const float* weight, const float* bias, float* packed);
/// `bias` (or zeros) padded with zeros to whole blocks.
void pack_bias(int channels, const float* bias, float* packed);

}  // namespace mobileone::kernels
