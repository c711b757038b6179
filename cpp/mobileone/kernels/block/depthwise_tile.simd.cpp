#include "mobileone/kernels/block/block_tile.hpp"
#include "mobileone/kernels/depthwise/row_pairs.hpp"
#include "mobileone/kernels/simd/epilogue.hpp"

namespace mobileone::kernels::MOBILEONE_ISA {
namespace {

constexpr int kMaxRowPointers = 64;

/// The sum of `pixels` vectors, one pixel apart, on four chains.
Vec sum_pixels(const float* data, int pixels) {
  Vec sum[4] = {zero(), zero(), zero(), zero()};
  int p = 0;
  for (; p + 4 <= pixels; p += 4) {
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) sum[i] = add(sum[i], load(data + (p + i) * kBlock));
  }
  for (; p < pixels; ++p) sum[0] = add(sum[0], load(data + p * kBlock));
  return add(add(sum[0], sum[1]), add(sum[2], sum[3]));
}

}  // namespace

DepthwiseTile::DepthwiseTile(const BlockPlan& plan, const float* src, const float* taps,
                             const RowRing* ring, float* scratch)
    : plan_(plan),
      src_(src),
      taps_(taps),
      ring_(ring),
      scratch_(scratch),
      wide_(kTraits.per_lane == 1 ? scratch : scratch + plan.wide_offset()),
      sums_(scratch + plan.vectors_offset()) {
  if (!plan.shape.excites()) return;
  for (int i = 0; i < plan.project.k_blocks * kBlock; i += kLanes) store(sums_ + i, zero());
}

void DepthwiseTile::source_rows(int block, int y, int count, const float** rows) const {
  if (ring_ != nullptr) return ring_->rows(block, y, count, rows);
  const MapShape map = plan_.shape.src();
  const float* row = src_ + map.offset(block, y, -1);
  for (int i = 0; i < count; ++i, row += map.row_stride()) rows[i] = row;
}

// Row pointers are handed over in chunks, so that a tile may have any number of rows.
void DepthwiseTile::run(int block, int begin, int end, int first_row) const {
  const BlockShape& shape = plan_.shape;
  const int width = shape.out_width();
  // With a squeeze-and-excite before it the activation has to wait.
  const Activation activation = shape.excite == ExcitePlace::kBeforeActivation
                                    ? Activation::kNone
                                    : shape.depthwise_activation;
  // Rows stay in float32, or are rounded as they are stored, or while they are in L1.
  const bool stay = kTraits.per_lane == 1 || shape.excites();
  const bool rounds = !stay && is_clamp(activation);
  const DepthwiseWindow window{shape.kernel,
                               shape.stride,
                               taps_ + block * plan_.block_taps(),
                               activation_floor(activation),
                               rounds,
                               activation_ceiling(activation)};
  int max_rows = (kMaxRowPointers - shape.kernel) / shape.stride + 1;
  if (!stay && !rounds && plan_.wide_rows() < max_rows) max_rows = plan_.wide_rows();
  for (int y = begin; y < end; y += max_rows) {
    const int count = end - y < max_rows ? end - y : max_rows;
    const int first = y * shape.stride - shape.reach();
    const float* rows[kMaxRowPointers];
    source_rows(block, first, (count - 1) * shape.stride + shape.kernel, rows);
    const std::ptrdiff_t at = std::ptrdiff_t{y - first_row} * width;
    float* const narrow = t(block) + at * TileElement::kBlockLanes;
    float* const dst = stay ? wide(block) + at * kBlock : rounds ? narrow : wide_;
    if (plan_.in_row_pairs()) {
      depthwise_row_pairs(window, rows, y, count, width, dst);
    } else {
      depthwise_rows(window, rows, count, width, dst);
    }
    if (!is_clamp(activation)) {
      activate_in_place(activation, dst, std::ptrdiff_t{count} * width * kBlock);
    }
    if (!stay && !rounds) store_tile(dst, narrow, std::ptrdiff_t{count} * width * kBlock);
  }
}

void DepthwiseTile::add_rows(int block, int begin, int end) const {
  const int width = plan_.shape.out_width();
  for (int lane = 0; lane < kBlock; lane += kLanes) {
    float* const at = sums_ + block * kBlock + lane;
    Vec total = load(at);
    for (int y = begin; y < end; ++y) {
      total =
          add(total, sum_pixels(wide(block) + std::ptrdiff_t{y} * width * kBlock + lane, width));
    }
    store(at, total);
  }
}

void DepthwiseTile::add_map(int block) const {
  for (int lane = 0; lane < kBlock; lane += kLanes) {
    store(sums_ + block * kBlock + lane, sum_pixels(wide(block) + lane, plan_.project.tile_pixels));
  }
}

}  // namespace mobileone::kernels::MOBILEONE_ISA
