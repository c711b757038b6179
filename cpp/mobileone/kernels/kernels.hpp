// The table of kernels of one instruction set: the entry point of this folder.
//
// Every function of a table is free of allocation, locks and global state; scratch is passed in.
// Each is safe to call from several threads with scratch (and outputs) of their own.
#pragma once

#include "mobileone/kernels/block/block.hpp"
#include "mobileone/kernels/conv/conv.hpp"
#include "mobileone/kernels/conv/stem_conv.hpp"
#include "mobileone/kernels/elementwise.hpp"
#include "mobileone/kernels/head/head.hpp"
#include "mobileone/kernels/isa.hpp"
#include "mobileone/kernels/maps/channel_moves.hpp"
#include "mobileone/kernels/maps/depthwise_map.hpp"
#include "mobileone/kernels/maps/map_elements.hpp"
#include "mobileone/kernels/rows/row_products.hpp"
#include "mobileone/kernels/stem/stem.hpp"
#include "mobileone/kernels/tokens/resize.hpp"
#include "mobileone/kernels/tokens/row_attention.hpp"
#include "mobileone/kernels/tokens/transformer.hpp"
#include "mobileone/kernels/training/depthwise.hpp"
#include "mobileone/kernels/training/planes.hpp"
#include "mobileone/kernels/training/products.hpp"

namespace mobileone::kernels {

/// What kernels multiply: sums and maps are float32 in either.
///
/// kBfloat16: the operands of a block's projection, T and weights, and those of a stem and of a
/// classifier, are rounded to bfloat16 once, to nearest even. A sum starts from the bias and takes
/// the products of channels 2 i + 1, then 2 i, for ascending i (a stem's: kStemPairs), each as a
/// float32 fused multiply-add to nearest even; subnormal operands and sums are 0. That is what
/// vdpbf16ps does, whatever MXCSR says, and what an emulation does under the flushing of subnormals
/// that plans run with.
enum class Precision { kFloat32, kBfloat16 };
inline constexpr int kNumPrecisions = 2;

/// "float32" or "bfloat16"
std::string_view precision_name(Precision precision);

struct KernelTable {
  Isa isa;
  Precision precision;
  bool emulated;     // without the instructions for that precision: slow, the same bits
  IsaTraits traits;  // what plans for this table are made with

  // block/
  /// Units [unit_begin, unit_end) of one image's block.
  void (*run_block)(const BlockPlan&, const BlockArgs&, int unit_begin, int unit_end);
  /// scale[padded(channels)] from sums over `pixels` pixels; `hidden` is [padded(reduced)] scratch.
  void (*squeeze_excite)(const SqueezeExcite&, const float* sums, int pixels, float* hidden,
                         float* scale);

  // stem/
  /// Output rows [row_begin, row_end) of the stem.
  void (*run_stem)(const StemPlan&, const StemArgs&, int row_begin, int row_end);
  /// Tiles [tile_begin, tile_end) of stem + block; the block's column_parts must be 1.
  void (*run_stem_block)(const StemBlockPlan&, const StemBlockArgs&, int tile_begin, int tile_end);

  // conv/
  /// Units [unit_begin, unit_end) of one image's convolution.
  void (*run_conv)(const ConvPlan&, const ConvArgs&, int unit_begin, int unit_end);
  /// Its tiles [tile_begin, tile_end), of one image's stem and the convolution after it.
  void (*run_stem_conv)(const StemConvPlan&, const StemConvArgs&, int tile_begin, int tile_end);

  // maps/
  /// Units [unit_begin, unit_end) of one image's depthwise convolution.
  void (*run_depthwise_map)(const DepthwiseMapPlan&, const DepthwiseMapArgs&, int unit_begin,
                            int unit_end);
  /// Blocks [unit_begin, unit_end) of one image's result; sources[i] is the i-th map.
  void (*run_channel_moves)(const ChannelMoves&, const float* const* sources, float* dst,
                            int unit_begin, int unit_end);
  /// Channel blocks [block_begin, block_end) of one image.
  void (*sum_maps)(const MapSum&, int block_begin, int block_end);
  void (*max_map)(const MapMaxima&, const float* src, float* dst, int block_begin, int block_end);

  // head/
  /// mean[padded(channels)] over the interior of a blocked map, times `scale` (or null).
  void (*global_pool)(const MapShape&, const float* map, const float* scale, float* mean);
  /// Panels [panel_begin, panel_end) of the classifier.
  void (*linear)(const LinearPlan&, const LinearArgs&, int panel_begin, int panel_end);

  // tokens/
  /// Half panels [half_begin, half_end) of one image's tokens through stage `stage` of the layers.
  /// Whole ones are faster.
  void (*transform_tokens)(const TransformerPlan&, const TransformerArgs&, int stage,
                           int half_begin, int half_end);
  /// Units [unit_begin, unit_end) of attention.
  void (*attention)(const TransformerPlan&, const TransformerArgs&, int unit_begin, int unit_end);
  /// Of one head on tokens that lie row by row.
  void (*attention_forward)(const AttentionForward&);
  void (*attention_gradient)(const AttentionGradient&);
  /// Output rows [row_begin, row_end) of one image's map.
  void (*resize_map)(const ResizeShape&, const float* src, float* dst, int row_begin, int row_end);

  // training/
  void (*multiply)(const Product&);
  void (*add_outer_products)(const OuterProducts&);
  void (*shift_columns)(const ShiftedColumns&);
  void (*depthwise_forward)(const DepthwiseForward&);
  void (*depthwise_moments)(const DepthwiseMoments&);
  void (*depthwise_weight_gradient)(const DepthwiseWeightGradient&);
  void (*depthwise_input_gradient)(const DepthwiseInputGradient&);
  void (*planes_to_block)(const Planes&, const float* planes, float* block);
  /// planes = block + addend, which lies as planes do and may be null.
  void (*block_to_planes)(const Planes&, const float* block, const float* addend, float* planes);

  // rows/
  void (*multiply_rows)(const RowProducts&);

  // simd/
  /// data[i] = activation(data[i] + other[i]) for `count` floats, a multiple of kBlock; `other` may
  /// be null.
  void (*finish)(Activation, const float* other, float* data, std::ptrdiff_t count);
  /// dst[i] = function(src[i]) for `count` floats, a multiple of 16; may be in place.
  void (*elementwise)(Elementwise, const float* src, float* dst, std::ptrdiff_t count);

  // tiling/
  /// Independent FMAs in registers; returns the floating-point operations done. See machine.hpp.
  double (*peak)(long iterations, float* sink);
  /// Sum of `count` floats (a multiple of 128), for measuring read bandwidth.
  float (*read_sum)(const float* data, std::ptrdiff_t count);
};

/// The table of one instruction set, which must be in supported_isas(). Throws
/// std::invalid_argument where it has no instructions of that precision, or this CPU does not.
const KernelTable& kernels(Isa isa, Precision precision = Precision::kFloat32);

/// One that any CPU of supported_isas() runs, to see what others compute: of kBfloat16 alone.
const KernelTable& emulation(Precision precision);

/// Every table of a precision that this CPU can run: what tests and benchmarks go through.
std::vector<const KernelTable*> supported_tables(Precision precision = Precision::kFloat32);

}  // namespace mobileone::kernels
