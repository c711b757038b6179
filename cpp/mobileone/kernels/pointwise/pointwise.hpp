// A pointwise convolution over one tile that already lies in scratch.
#pragma once

#include "mobileone/kernels/pointwise/microkernel.hpp"
#include "mobileone/kernels/pointwise/pointwise_plan.hpp"

namespace mobileone::kernels::MOBILEONE_ISA {

/// Memory to bring into L2 bit by bit while the microkernels run: one piece, or several as long.
struct PrefetchStream {
  const float* next = nullptr;
  const float* end = nullptr;  // of the piece
  std::ptrdiff_t piece = 0;    // floats of each, where there are more
  std::ptrdiff_t step = 0;     // from one to the next
  int more = 0;

  /// The part of [data, data + floats) that a call for units [unit_begin, unit_end) of `units`
  /// fetches.
  static PrefetchStream share(const float* data, std::ptrdiff_t floats, int unit_begin,
                              int unit_end, int units) {
    return {data + floats * unit_begin / units, data + floats * unit_end / units};
  }
  /// Rows [row_begin, row_end) of a map, of all of its channel blocks.
  static PrefetchStream rows(const MapShape& map, const float* data, int row_begin, int row_end) {
    if (row_begin >= row_end) return {};
    const float* const first = data + map.offset(0, row_begin, 0);
    const std::ptrdiff_t piece = (row_end - row_begin) * map.row_stride();
    return {first, first + piece, piece, map.block_stride(), blocks(map.channels) - 1};
  }
  bool active() const { return next < end; }
  std::ptrdiff_t size() const { return next < end ? end - next : 0; }
  const float* take(std::ptrdiff_t floats) {
    const float* at = next;
    next += floats;
    if (next >= end && more > 0) {
      end += step;
      next = end - piece;
      --more;
    }
    return at;
  }
};

/// One tile's operands. `scratch` is the plan's: T, the offset table, partial results, S1..S4.
struct PointwiseTile {
  float* scratch = nullptr;
  int pixel_begin = 0;            // first pixel of T
  int pixels = 0;                 // pixels of this call, <= plan.max_pixels
  const float* packed = nullptr;  // pack_pointwise
  const float* bias = nullptr;    // [16 n_blocks]
  float floor = 0.0f;
  float* dst = nullptr;          // the tile's first pixel in channel block 0
  std::ptrdiff_t dst_block = 0;  // floats between channel blocks of dst
  float* sums = nullptr;         // [16 n_blocks] or null; see Output::sums
  int panel_begin = 0;
  int panel_end = 0;
  const float* fetched = nullptr;        // panels below this address are in L2 already
  PrefetchStream* background = nullptr;  // what to fetch once the next panel is on its way, or null
  PrefetchStream* late = nullptr;        // what to fetch during the last products, or null

  /// The stream that fetches [begin, end), as far as it is not fetched yet.
  PrefetchStream stream(const float* begin, const float* end) const {
    return {begin < fetched ? fetched : begin, end};
  }

  /// Output of the channels from block `block` on, pixels from `offsets` on.
  Output output(int block, const std::int32_t* offsets) const {
    return {dst + block * dst_block, offsets, sums == nullptr ? nullptr : sums + block * kBlock,
            false};
  }
};

inline std::int32_t* offset_table(const PointwisePlan& plan, float* scratch) {
  return reinterpret_cast<std::int32_t*>(scratch + plan.tile_floats());
}

/// Fills the offset table for tiles of whole rows: pixel (y, x) at y * row_stride + 16 x.
void fill_offsets(const PointwisePlan& plan, int width, std::ptrdiff_t row_stride, float* scratch);

/// Deals out a tile's prefetches to its chains: the panel that comes next; `late` as late as it can
/// be, because what is fetched early is gone again from L2 when it is needed; then `background`.
class Prefetcher {
 public:
  /// `chain_blocks`: 16-deep k blocks of all chains of one panel; `panel_floats`: of its weights.
  Prefetcher(const PointwiseTile& tile, int chain_blocks, std::ptrdiff_t panel_floats)
      : tile_(tile), late_begin_(tile.panel_end) {
    if (tile.late == nullptr) return;
    // Panels from the end, until their chains have room for it all.
    const std::ptrdiff_t capacity = prefetch_floats(chain_blocks);
    std::ptrdiff_t room = 0;
    while (room < tile.late->size() && late_begin_ > tile.panel_begin) {
      room += late_begin_ == tile.panel_end ? capacity : capacity - panel_floats;
      --late_begin_;
    }
  }

  /// The weights at [begin, end) are the panel after `index`.
  void start_panel(int index, const float* begin, const float* end) {
    panel_ = tile_.stream(begin, end);
    late_ = index >= late_begin_ ? tile_.late : nullptr;
  }

  /// Where the next chain's prefetches go; `nothing` is in the cache anyway.
  const float* take(int k_blocks, const float* nothing) {
    const std::ptrdiff_t floats = prefetch_floats(k_blocks);
    if (panel_.active()) return panel_.take(floats);
    if (late_ != nullptr && late_->active()) return late_->take(floats);
    if (tile_.background != nullptr && tile_.background->active()) {
      return tile_.background->take(floats);
    }
    return nothing;
  }

 private:
  const PointwiseTile& tile_;
  int late_begin_;  // the first panel during which `late` is fetched
  PrefetchStream panel_;
  PrefetchStream* late_ = nullptr;
};

/// Of a product of two levels' outer one: the partial results that its outputs have to do with, in
/// the order in which the product makes them (OuterOutput).
struct OuterStep {
  const float* to_map = nullptr;  // or null: nothing is added
  const float* addend = nullptr;  // or null: nothing is added
  float* partial = nullptr;       // or null: there is none
  const float* zeros = nullptr;   // of a group of pixels: what is added where nothing is,
  float* spare = nullptr;         // and where what nobody asks for goes
  const float* next = nullptr;    // the weights that are read after this product's, or null
};

/// Strassen's sums S1..S4 of channel blocks `block` and `block` + k_blocks / 2 of the tile's part
/// of T: called for every block below k_blocks / 2 before pointwise(), best when both have just
/// been written and are in L1.
void sum_quarters(const PointwisePlan& plan, const PointwiseTile& tile, int block);

void pointwise_direct(const PointwisePlan& plan, const PointwiseTile& tile);
/// One level, after sum_quarters; `outer` of an outer level's product.
void pointwise_strassen(const PointwisePlan& plan, const PointwiseTile& tile,
                        const OuterStep* outer = nullptr);
/// Two levels; makes its sums of quarters itself.
void pointwise_two_levels(const PointwisePlan& plan, const PointwiseTile& tile);

inline void pointwise(const PointwisePlan& plan, const PointwiseTile& tile) {
  if (plan.levels() == 2) return pointwise_two_levels(plan, tile);
  return plan.strassen() ? pointwise_strassen(plan, tile) : pointwise_direct(plan, tile);
}

}  // namespace mobileone::kernels::MOBILEONE_ISA
