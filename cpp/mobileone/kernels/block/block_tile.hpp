// The steps of a block's tile: rows into the ring, the depthwise into T, squeeze-and-excite.
#pragma once

#include "mobileone/kernels/block/row_ring.hpp"
#include "mobileone/kernels/pointwise/pointwise.hpp"

namespace mobileone::kernels::MOBILEONE_ISA {

/// Expanded rows [begin, end) of one panel of channels, into the ring.
void expand_rows(const BlockPlan& plan, const BlockArgs& args, const RowRing& ring,
                 const Panel& panel, int begin, int end, PrefetchStream& background);

/// The same into T, which starts at row `begin`: of a block without a depthwise.
void expand_into_tile(const BlockPlan& plan, const BlockArgs& args, const Panel& panel, int begin,
                      int end, PrefetchStream& background);

/// Rows [begin, end) of one channel block of the source, into the ring.
void copy_rows(const BlockPlan& plan, const float* src, const RowRing& ring, int block, int begin,
               int end);

/// T of one tile, and the sums over its pixels where a squeeze-and-excite pools them.
class DepthwiseTile {
 public:
  /// `taps` of all blocks; `ring` is null where rows are read in the map.
  DepthwiseTile(const BlockPlan& plan, const float* src, const float* taps, const RowRing* ring,
                float* scratch);

  /// Output rows [begin, end) of channel block `block`, to row `begin - first_row` of T.
  void run(int block, int begin, int end, int first_row) const;

  /// Adds up rows of T that have just been written, one sum per row: the same bits for any tiling.
  void add_rows(int block, int begin, int end) const;
  /// Adds up all pixels of a block of T.
  void add_map(int block) const;

 private:
  void source_rows(int block, int y, int count, const float** rows) const;
  float* t(int block) const {
    return scratch_ + std::ptrdiff_t{block} * plan_.project.pitch() * TileElement::kBlockLanes;
  }
  // Of T in float32: T itself, or what a squeeze-and-excite is applied to before it is rounded.
  float* wide(int block) const {
    return wide_ + std::ptrdiff_t{block} * plan_.project.pitch() * kBlock;
  }

  const BlockPlan& plan_;
  const float* src_;
  const float* taps_;
  const RowRing* ring_;
  float* scratch_;
  float* wide_;
  float* sums_;
};

/// The factors from the sums that a DepthwiseTile left in scratch, [16 blocks].
const float* excite(const BlockPlan& plan, const SqueezeExcite& se, float* scratch);
/// T times the factors, then the activation that comes after them, if one does.
void scale_tile(const BlockPlan& plan, const float* scale, float* scratch);
/// Panels [begin, end) of the projection's weights times the factors of their rows.
void scale_weights(const BlockPlan& plan, const float* packed, const float* scale, int begin,
                   int end, float* out);
/// Taps of all blocks times `scale`; biases stay: depthwise(scale * x) by other weights.
void scale_taps(const BlockPlan& plan, const float* taps, const float* scale, float* out);

}  // namespace mobileone::kernels::MOBILEONE_ISA
