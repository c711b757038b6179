// The block that mobile networks are made of, in inference form, in one pass over its input:
//
//   [1x1 expansion, activation]  ->  k x k depthwise, [squeeze-and-excite], activation
//                                ->  1x1 projection, [+ input], activation
//
// The depthwise convolution may be missing: 1x1, activation, 1x1, [+ input], a network's channel
// mixer (RepViT, arXiv 2307.09283, figure 3).
//
// MobileOne's pair is the one without an expansion (arXiv 2206.04040, section 3.2), the inverted
// residual of MobileNetV2 (arXiv 1801.04381, section 3.3) the one with it; MobileNetV3 (arXiv
// 1905.02244) and EfficientNet add the larger kernels and the squeeze-and-excite. Each convolution
// has a bias.
//
// It runs tile by tile: the depthwise writes a tile of whole output rows into scratch, T, which the
// projection consumes while it is in L1 and L2. The expanded map never exists either: its rows live
// in a ring in scratch for as long as the depthwise needs them. A depthwise without an expansion
// reads a 3x3 window where it is, in the map; wider ones, for which the map's border is too narrow,
// from a ring of copied rows. With a squeeze-and-excite, which pools all pixels, T is the whole
// map. Without a depthwise, the expansion writes T.
//
// Use: plan_block once per shape, pack_block once per set of weights, then KernelTable::run_block
// per image. The work of one image is plan.units() independent units; a thread runs any contiguous
// range of them with scratch of its own. A range of an expanding block computes the expanded rows
// at its upper edge once more.
#pragma once

#include "mobileone/kernels/activation.hpp"
#include "mobileone/kernels/block/squeeze_excite.hpp"
#include "mobileone/kernels/depthwise/depthwise_pack.hpp"
#include "mobileone/kernels/tiling/tiling.hpp"

namespace mobileone::kernels {

/// Where a block has its squeeze-and-excite: between the depthwise convolution's bias and its
/// activation (MobileOne), or after the activation (MobileNetV3, EfficientNet).
enum class ExcitePlace { kNone, kBeforeActivation, kAfterActivation };

struct BlockShape {
  int channels_in = 0;
  int expanded = 0;  // channels of the depthwise convolution; 0: channels_in, without an expansion
  int channels_out = 0;
  int height = 0;  // of the input map
  int width = 0;
  int kernel = 3;  // of the depthwise convolution: 3, 5 or 7, its padding is kernel / 2; 0: an
                   // expanding block without one
  int stride = 1;  // 1 or 2
  Activation expand_activation = Activation::kNone;
  Activation depthwise_activation = Activation::kNone;
  ExcitePlace excite = ExcitePlace::kNone;
  Epilogue project = {};  // the residual is the block's input

  bool expands() const { return expanded > 0; }
  bool excites() const { return excite != ExcitePlace::kNone; }
  bool has_depthwise() const { return kernel > 0; }
  /// Channels that the projection reads.
  int hidden() const { return expands() ? expanded : channels_in; }
  int reach() const { return kernel / 2; }
  /// Whether the depthwise reads its rows from a ring.
  bool has_ring() const { return has_depthwise() && (expands() || reach() > 1); }
  /// Whether the cost model of pairs cuts it up: it makes T from the map, block by block.
  bool is_pair() const { return !expands() && !(has_ring() && excites()); }
  int out_height() const { return (height - 1) / stride + 1; }
  int out_width() const { return (width - 1) / stride + 1; }
  MapShape src() const { return {channels_in, height, width}; }
  MapShape dst() const { return {channels_out, out_height(), out_width()}; }
  /// Multiply-accumulates of the convolutions.
  double macs() const;
};

struct BlockPlan {
  BlockShape shape;
  PointwisePlan expand;   // how its weights are packed; it runs row by row
  PointwisePlan project;  // over T
  int tile_rows = 0;      // these three as in Tiling, clipped to what the shape has
  int column_parts = 1;
  bool weights_stay = false;
  bool pairs_rows = false;  // where the depthwise allows it

  /// Rows of T: a squeeze-and-excite pools the whole map before the projection may start.
  int depthwise_rows() const { return shape.excites() ? shape.out_height() : tile_rows; }
  int tiles() const { return ceil_div(shape.out_height(), depthwise_rows()); }
  /// First output row of a tile (tile == tiles(): the end). Tiles are as tall as each other, but
  /// for a row, or two where pairs of pixels would be cut: threads have equal shares.
  int first_row(int tile) const;
  int units() const { return tiles() * column_parts; }
  /// From the start of the packed weights to the end of the first panel: what a step reads first.
  std::ptrdiff_t first_floats() const {
    return project_offset() + project.panel_offset(project.panel(0).num_blocks);
  }
  /// First panel of a column part (part == column_parts: the end).
  int first_panel(int part) const { return project.num_panels() * part / column_parts; }

  /// Whether the depthwise makes its rows in pairs (depthwise/row_pairs.hpp): where it rounds
  /// otherwise than window by window, so does the projection.
  bool in_row_pairs() const { return pairs_rows && shape.kernel == 3 && shape.stride == 1; }
  /// Floats of a channel block's taps: the bias comes last.
  std::ptrdiff_t block_taps() const {
    return in_row_pairs() ? kRowPairFloats : depthwise_floats(shape.kernel);
  }

  // Packed weights: of an expansion bias [16 blocks] and panels; depthwise taps
  // [blocks][kernel^2 + 1][16], or of pairs of rows [blocks][13][16]; the projection's bias [16
  // blocks] and panels.
  std::ptrdiff_t expand_offset() const { return std::ptrdiff_t{expand.n_blocks} * kBlock; }
  std::ptrdiff_t taps_offset() const {
    return shape.expands() ? expand_offset() + expand.packed_floats() : 0;
  }
  std::ptrdiff_t taps_floats() const {
    return shape.has_depthwise() ? project.k_blocks * block_taps() : 0;
  }
  std::ptrdiff_t bias_offset() const { return taps_offset() + taps_floats(); }
  std::ptrdiff_t project_offset() const {
    return bias_offset() + std::ptrdiff_t{project.n_blocks} * kBlock;
  }
  std::size_t packed_bytes() const {
    return sizeof(float) * static_cast<std::size_t>(project_offset() + project.packed_floats());
  }

  // The ring: [ring_blocks][slots][width + 2 reach][16], and one row of zeros after it. With an
  // expansion it holds all blocks, whose last rows the next tile reads again. Without one, or with
  // a squeeze-and-excite, whose T is the whole map, T is made block by block (panel by panel of an
  // expansion), ring_rows output rows at a time: the rows of a block stay in L1.
  bool ring_holds_all() const { return shape.expands() && !shape.excites(); }
  int ring_blocks() const;
  int ring_rows() const;
  int ring_slots() const { return shape.stride * (ring_rows() - 1) + shape.kernel; }
  std::ptrdiff_t ring_row() const {
    return std::ptrdiff_t{shape.width + 2 * shape.reach()} * kBlock;
  }
  std::ptrdiff_t ring_block() const { return ring_slots() * ring_row(); }
  /// Whether a squeeze-and-excite's factors multiply a copy of the projection's weights, not T: the
  /// smaller of the two.
  bool scales_weights() const;

  // Scratch: the projection's (T first), then these.
  std::ptrdiff_t scaled_taps_offset() const { return project.scratch_floats(); }
  std::ptrdiff_t vectors_offset() const;  // the squeeze-and-excite's, 3 [16 blocks]
  std::ptrdiff_t ring_offset() const;
  std::ptrdiff_t scaled_weights_offset() const;
  /// float32 of what T holds in bfloat16: with a squeeze-and-excite all of it, else wide_rows()
  /// rows of a channel block, which stay in L1.
  std::ptrdiff_t wide_offset() const;
  std::ptrdiff_t wide_floats() const;
  int wide_rows() const;
  /// Scratch that each concurrent caller of run_block needs, aligned to kAlignment.
  std::size_t scratch_bytes() const;
};

/// One of the maps whose channels, one after the other, are a block's source.
struct BlockPart {
  const float* map = nullptr;
  int channels = 0;  // whole 16-channel blocks, of all parts but the last
};
inline constexpr int kMaxBlockParts = 8;

/// Pointers of one run over one image. Maps are blocked (layout.hpp), with zero borders.
struct BlockArgs {
  const float* src = nullptr;
  const BlockPart* parts = nullptr;  // in place of `src`, of an expanding block without a residual
  int num_parts = 0;                 // at most kMaxBlockParts
  const float* expand_bias = nullptr;  // [padded(expanded)] in place of the packed one, or null
  float* dst = nullptr;
  const float* packed = nullptr;          // pack_block
  const float* src_scale = nullptr;       // [padded(channels_in)] or null: multiplies the source of
                                          // a block without expansion and residual
  const SqueezeExcite* excite = nullptr;  // required when shape.excites(); reduced <= channels
  float* dst_sums = nullptr;  // [padded(channels_out)] or null: += sums over pixels of the output
                              // before residual and activation (what the next squeeze-and-excite
                              // pools)
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

/// Whether so many levels of Strassen's algorithm can run the projection: not of bfloat16.
bool strassen_applies(const IsaTraits& isa, const BlockShape& shape, int levels = 1);

/// Throws std::invalid_argument for sizes < 1, another kernel or stride than above, a block without
/// a depthwise that has no expansion, a stride, a squeeze-and-excite or a T of bfloat16, a residual
/// between different shapes, a tiling with a value < 1, and for kStrassen (of the projection) where
/// it does not apply. tile_rows is clipped to the output height. `isa` is that of the KernelTable
/// that will run the plan.
BlockPlan plan_block(const IsaTraits& isa, const BlockShape& shape, const Tiling& tiling);

/// The weights of one block, as the network has them; biases may be null (zero).
struct BlockWeights {
  const float* expand = nullptr;  // [expanded][channels_in], or null without an expansion
  const float* expand_bias = nullptr;
  const float* depthwise = nullptr;  // [hidden][kernel][kernel], or null without one
  const float* depthwise_bias = nullptr;
  const float* project = nullptr;  // [channels_out][hidden]
  const float* project_bias = nullptr;
};

/// `packed` holds plan.packed_bytes(), aligned to kAlignment.
void pack_block(const BlockPlan& plan, const BlockWeights& weights, float* packed);

}  // namespace mobileone::kernels
