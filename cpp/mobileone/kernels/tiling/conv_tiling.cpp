#include "mobileone/kernels/tiling/conv_tiling.hpp"

#include <algorithm>

namespace mobileone::kernels {

namespace {

constexpr int kEnoughPixels = 256;     // of a tile
constexpr double kScratchShare = 0.4;  // of L2
constexpr int kTilesPerThread = 4;

}  // namespace

Tiling choose_tiling(const KernelTable& table, const MachineModel& machine, const ConvShape& shape,
                     AlgorithmChoice choice, int threads) {
  // A pair whose pointwise convolution has the same K, N and pixels.
  DwPwShape pair;
  pair.channels_in = shape.k_blocks() * kBlock;
  pair.channels_out = shape.channels_out;
  pair.height = shape.height;
  pair.width = shape.width;
  if (choice == AlgorithmChoice::kAuto) choice = AlgorithmChoice::kDirect;
  return choose_tiling(table, machine, pair, choice, threads);
}

Tiling choose_tiling(const KernelTable& table, const MachineModel& machine,
                     const InvertedResidualShape& shape, AlgorithmChoice choice, int threads) {
  const bool strassen = choice == AlgorithmChoice::kStrassen && strassen_applies(shape);
  Tiling tiling;
  tiling.algorithm = strassen ? Algorithm::kStrassen : Algorithm::kDirect;
  const int limit = std::min(InvertedResidualPlan::kMaxTileRows, shape.out_height());
  const auto accepts = [&](int rows) {
    const auto plan = plan_inverted_residual(table.panel_blocks, shape, rows, tiling.algorithm);
    return double(plan.scratch_bytes()) <= kScratchShare * machine.l2_bytes &&
           (threads == 1 || plan.tiles() >= kTilesPerThread * threads);
  };
  while (tiling.tile_rows * shape.out_width() < kEnoughPixels && tiling.tile_rows < limit &&
         accepts(tiling.tile_rows + 1)) {
    ++tiling.tile_rows;
  }
  return tiling;
}

}  // namespace mobileone::kernels
