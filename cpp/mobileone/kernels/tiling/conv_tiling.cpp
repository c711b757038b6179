#include "mobileone/kernels/tiling/conv_tiling.hpp"

#include <algorithm>

namespace mobileone::kernels {

namespace {

constexpr int kEnoughPixels = 256;     // of a tile
constexpr double kScratchShare = 0.4;  // of L2
constexpr int kTilesPerThread = 4;
constexpr int kMaxTileRows = 16;

}  // namespace

Tiling choose_tiling(const KernelTable& table, const MachineModel& machine, const ConvShape& shape,
                     const TilingRequest& request) {
  // A pair whose pointwise convolution has the same K, N and pixels.
  BlockShape pair;
  pair.channels_in = shape.k_blocks() * kBlock;
  pair.channels_out = shape.channels_out;
  pair.height = shape.height;
  pair.width = shape.width;
  TilingRequest direct = request;
  if (request.choice == AlgorithmChoice::kAuto) direct.choice = AlgorithmChoice::kDirect;
  return choose_tiling(table, machine, pair, direct);
}

namespace {

// What a tile keeps in use: of a T that is the whole map, the part of one call.
double tile_bytes(const BlockPlan& plan) {
  if (!plan.shape.excites()) return double(plan.scratch_bytes());
  const std::ptrdiff_t call = std::ptrdiff_t{plan.project.k_blocks} * plan.project.max_pixels;
  return sizeof(float) * double(plan.ring_blocks() * plan.ring_block() + call * kBlock);
}

}  // namespace

Tiling choose_ring_tiling(const KernelTable& table, const MachineModel& machine,
                          const BlockShape& shape, const TilingRequest& request) {
  const bool strassen =
      request.choice == AlgorithmChoice::kStrassen && strassen_applies(table.traits, shape);
  Tiling tiling;
  tiling.algorithm = strassen ? Algorithm::kStrassen : Algorithm::kDirect;
  if (request.rows != 0) {
    tiling.tile_rows = request.rows;
    return tiling;
  }
  const int limit = std::min(kMaxTileRows, shape.out_height());
  const auto accepts = [&](int rows) {
    const BlockPlan plan = plan_block(table.traits, shape, {tiling.algorithm, rows});
    return tile_bytes(plan) <= kScratchShare * machine.l2_bytes &&
           (request.threads == 1 || shape.excites() ||
            plan.tiles() >= kTilesPerThread * request.threads);
  };
  while (tiling.tile_rows * shape.out_width() < kEnoughPixels && tiling.tile_rows < limit &&
         accepts(tiling.tile_rows + 1)) {
    ++tiling.tile_rows;
  }
  return tiling;
}

}  // namespace mobileone::kernels
