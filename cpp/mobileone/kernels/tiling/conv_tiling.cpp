#include "mobileone/kernels/tiling/conv_tiling.hpp"

#include <algorithm>

#include "mobileone/kernels/conv/phases.hpp"
#include "mobileone/kernels/conv/winograd.hpp"

namespace mobileone::kernels {

namespace {

constexpr int kEnoughPixels = 256;     // of a tile
constexpr double kScratchShare = 0.4;  // of L2
constexpr double kPhaseShare = 2.5;    // of L2
constexpr double kStridedShare = 0.2;  // the same of Winograd's algorithm with stride 2
constexpr int kTilesPerThread = 4;
constexpr int kMaxTileRows = 16;
constexpr double kOperandPasses = 2.0;  // Winograd's operands are written and read once
constexpr double kMinWinogradGain = 1.05;
constexpr double kDilatedShare = 0.85;  // of the peak, of a dilated kernel by rows

// Rows of a tile: as many as have windows for all threads and operands that stay in L2.
Tiling winograd_tiling(const KernelTable& table, const MachineModel& machine,
                       const ConvShape& shape, const TilingRequest& request) {
  Tiling tiling{Algorithm::kStrassen, 2};
  if (request.rows != 0) {
    tiling.tile_rows = request.rows;
    return tiling;
  }
  const double share = shape.stride == 2 ? kStridedShare : kScratchShare;
  for (int rows = 4; rows <= std::min(kMaxTileRows, shape.out_height()); rows += 2) {
    const ConvPlan plan = plan_conv(table.traits, shape, {tiling.algorithm, rows});
    if (double(plan.scratch_bytes()) > share * machine.l2_bytes || plan.tiles() < request.threads) {
      break;
    }
    tiling.tile_rows = rows;
  }
  return tiling;
}

// Whether 16 or 25 products in place of 36 are faster, with all that they read and write.
bool winograd_pays(const KernelTable& table, const MachineModel& machine, const ConvShape& shape) {
  const ConvPlan plan = plan_conv(table.traits, shape, winograd_tiling(table, machine, shape, {}));
  const Windows kind = windows_of(shape);
  const double per_window = 2.0 * window_columns(kind);
  const double windows = double(shape.out_height()) * shape.out_width() / per_window;
  const double operands = windows * kBlock * sizeof(float) *
                          (winograd_forms(kind) * plan.pointwise.k_blocks +
                           winograd_positions(kind) * plan.pointwise.n_blocks);
  const double weights = double(plan.packed_bytes());
  const double passes = weights <= kScratchShare * machine.l2_bytes ? 1.0 : plan.tiles();
  const double direct = 2.0 * shape.macs() / machine.peak_flops;
  const double winograd = direct * winograd_forms(kind) / (9.0 * per_window) +
                          kOperandPasses * operands / machine.l2_bytes_per_second +
                          passes * weights / machine.far_bytes_per_second;
  return kMinWinogradGain * winograd < direct;
}

// Rows of windows of a tile of phases: as many as leave the operands and sums of one form of rows
// not far beyond L2, since every tile reads all weights.
Tiling phase_tiling(const KernelTable& table, const MachineModel& machine, const ConvShape& shape,
                    const TilingRequest& request) {
  Tiling tiling{Algorithm::kStrassen, std::max(1, request.rows)};
  if (request.rows != 0) return tiling;
  const int all = plan_conv(table.traits, shape, tiling).rows();
  const auto fits = [&](int tiles) {
    const int rows = ceil_div(all, tiles);
    const PhaseScratch parts(plan_conv(table.traits, shape, {tiling.algorithm, rows}));
    const double bytes = sizeof(float) * double(parts.column_forms) *
                         double(parts.source_form() + parts.result_form());
    return rows == 1 || bytes <= kPhaseShare * machine.l2_bytes;
  };
  int tiles = request.threads;
  while (!fits(tiles)) tiles += request.threads;
  tiling.tile_rows = ceil_div(all, tiles);
  return tiling;
}

// Whether the products of phases are faster than those of rows, with all that they read and write.
bool phases_pay(const KernelTable& table, const MachineModel& machine, const ConvShape& shape) {
  const ConvPlan plan = plan_conv(table.traits, shape, phase_tiling(table, machine, shape, {}));
  const PhaseAxis rows(shape.height, shape.dilation), columns(shape.width, shape.dilation);
  const double channels =
      2.0 * (shape.channels_in + shape.channels_in2) * shape.channels_out / machine.peak_flops;
  const double products = double(rows.products()) * columns.products();
  const double operands =
      products * kBlock * sizeof(float) * (plan.pointwise.k_blocks + plan.pointwise.n_blocks);
  const double weights = double(plan.tiles()) * double(plan.packed_bytes());
  const double phases =
      products * channels + (kOperandPasses * operands + weights) / machine.far_bytes_per_second;
  const double direct = channels * rows.taps() * columns.taps() / kDilatedShare;
  return kMinWinogradGain * phases < direct;
}

}  // namespace

Tiling choose_tiling(const KernelTable& table, const MachineModel& machine, const ConvShape& shape,
                     const TilingRequest& request) {
  if (shape.dilation > 1 && request.choice != AlgorithmChoice::kDirect && phases_apply(shape)) {
    if (request.choice == AlgorithmChoice::kStrassen || phases_pay(table, machine, shape)) {
      return phase_tiling(table, machine, shape, request);
    }
  } else if (request.choice != AlgorithmChoice::kDirect && shape.kernel == 3 &&
             strassen_applies(shape) &&
             (request.choice == AlgorithmChoice::kStrassen ||
              winograd_pays(table, machine, shape))) {
    return winograd_tiling(table, machine, shape, request);
  }
  // A pair whose pointwise convolution has the same K, N and pixels.
  BlockShape pair;
  pair.channels_in = shape.k_blocks() * kBlock;
  pair.channels_out = shape.channels_out;
  pair.height = shape.out_height();
  pair.width = shape.out_width();
  TilingRequest direct = request;
  direct.most_levels = std::min(direct.most_levels, 1);
  const bool wide = shape.kernel != 1 || shape.stride != 1 || shape.channels_in2 > 0;
  if ((request.choice == AlgorithmChoice::kAuto && wide) || !strassen_applies(shape)) {
    direct.choice = AlgorithmChoice::kDirect;
  }
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
