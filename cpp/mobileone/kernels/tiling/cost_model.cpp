#include "mobileone/kernels/tiling/cost_model.hpp"

#include <algorithm>
#include <iterator>

#include "mobileone/kernels/tiling/conv_tiling.hpp"

namespace mobileone::kernels {

namespace {

constexpr double kRestartCycles = 35.0;  // a microkernel call that does not overlap the previous
constexpr double kStoreFlops = 6.0;      // per output: bias, floor, store, in FMA slots
constexpr double kPartialFlops = 2.0;    // per output: Strassen's U0 and U1, from L1
constexpr double kDepthwiseShare = 0.6;  // of peak, typical
constexpr double kResidentShare = 0.6;   // of L2 that a tile may count on
constexpr double kExposedWeights = 0.2;  // of the time to fetch them; the rest hides behind FMAs
constexpr double kNextStepShare = 0.35;  // of L2, for data of the next step
constexpr int kMinTilePixels = 96;
// Of bfloat16 T has half the bytes, and products half the time: what every tile costs (rows of the
// source that two tiles read, the depthwise's calls) shows in tiles as low as float32's.
constexpr int kMinPairTilePixels = 384;
constexpr double kSumTraffic = 3.0;   // of Strassen's sums: bytes through L2 per byte of T
constexpr double kRingTraffic = 4.0;  // the same of rows that are copied into a ring
constexpr double kMinStrassenGain = 1.03;
// The same of two levels: the outer one's partial results too; T's quarters are read 14 times, and
// the operands made of them written and read.
constexpr double kOuterPartialFlops = 24.0;
constexpr double kOuterSumTraffic = 13.0;

// Strassen's S1..S4.
double sums_bytes(const PointwisePlan& p) { return double(p.sums_floats()) * sizeof(float); }

// By level: the share of the multiply-adds, calls of the microkernel per group and panel of the
// direct product, and the numbers above.
struct LevelCosts {
  double products, calls, partial_flops, sum_traffic;
};
constexpr LevelCosts kLevels[] = {
    {1.0, 1.0, 0.0, 0.0},
    {7.0 / 8, 3.0 / 4, kPartialFlops, kSumTraffic},
    {49.0 / 64, 21.0 / 16, kOuterPartialFlops, kOuterSumTraffic},
};

// T and its sums. Of two levels all that a tile is made in.
double tile_bytes(const PointwisePlan& p) {
  if (p.levels() == 2) return double(p.scratch_floats()) * sizeof(float);
  return double(p.tile_floats()) * sizeof(float) + sums_bytes(p);
}

// What every panel reads again: of a T that is the whole map, the part of one pointwise call.
double call_bytes(const PointwisePlan& p) {
  if (p.levels() == 2) return call_bytes(p.product());
  const int pixels = std::min(p.pitch(), tile_pitch(p.max_pixels));
  return double(p.k_blocks) * pixels * kBlock * sizeof(float) + sums_bytes(p);
}

// Of each tile's rows and those around them.
double ring_bytes(const BlockPlan& plan) {
  if (!plan.shape.has_ring()) return 0.0;
  const int rows = (plan.tile_rows - 1) * plan.shape.stride + plan.shape.kernel;
  return kRingTraffic * sizeof(float) * plan.tiles() * plan.project.k_blocks * rows *
         double(plan.ring_row());
}

bool fits_l2(const BlockPlan& plan, const MachineModel& machine) {
  const double weights = double(plan.project.packed_floats()) * sizeof(float);
  return weights + tile_bytes(plan.project) <= kResidentShare * machine.l2_bytes;
}

// Of the rows of all units, those of the thread that has most; each has a contiguous share of
// units.
double busiest_share(const BlockPlan& plan, int threads) {
  const int units = plan.units();
  int most = 0;
  for (int thread = 0; thread < threads; ++thread) {
    int rows = 0;
    for (int unit = units * thread / threads; unit < units * (thread + 1) / threads; ++unit) {
      const int tile = unit / plan.column_parts;
      rows += plan.first_row(tile + 1) - plan.first_row(tile);
    }
    most = std::max(most, rows);
  }
  return double(most) / (double(plan.shape.out_height()) * plan.column_parts);
}

}  // namespace

std::ptrdiff_t next_step_floats(const MachineModel& machine) {
  return static_cast<std::ptrdiff_t>(kNextStepShare * machine.l2_bytes / sizeof(float));
}

double estimate_seconds(const KernelTable& table, const MachineModel& machine,
                        const BlockShape& shape, const Tiling& tiling, int threads) {
  const BlockPlan plan = plan_block(table.traits, shape, tiling);
  const PointwisePlan& p = plan.project;
  const LevelCosts& level = kLevels[p.levels()];
  const double k = p.k_blocks * kBlock, n = p.n_blocks * kBlock;
  const double pixels = double(shape.out_height()) * shape.out_width();
  const double lanes = table.traits.lanes;
  const double group = table.traits.pixels;
  const double cycle_flops = 4.0 * lanes;  // two FMA ports

  const double calls = pixels / group * n / (p.panel_blocks * kBlock) * level.calls;
  const double flops = pixels * k * n * 2.0 * level.products / table.traits.per_lane +
                       pixels * n * (kStoreFlops + level.partial_flops) +
                       calls * kRestartCycles * cycle_flops;
  const double taps = double(shape.kernel) * shape.kernel;
  const double depthwise = 2.0 * taps * pixels * k / kDepthwiseShare * plan.column_parts;
  const double sums = level.sum_traffic * pixels * k * sizeof(float) + ring_bytes(plan);
  const double arithmetic =
      (flops + depthwise) / machine.peak_flops + sums / machine.l2_bytes_per_second;

  const double weight_bytes = double(p.packed_floats()) * sizeof(float);
  const int products = p.levels() == 2 ? 7 : 1;  // each reads its T for every panel
  const double panel_bytes = weight_bytes / (p.num_panels() * products);
  const double room = kResidentShare * machine.l2_bytes;
  const double tile = call_bytes(p);
  const double passes = ceil_div(shape.out_height(), plan.tile_rows);
  const double weights = weight_bytes * (fits_l2(plan, machine) ? 1.0 : passes);
  // A panel in use, and the next one on its way.
  const double streamed =
      tile + 2.0 * panel_bytes <= room ? 0.0 : tile * p.num_panels() * products * passes;
  const double far = machine.far_bytes_per_second;
  const double one_thread =
      std::max(arithmetic + kExposedWeights * weights / far + machine.exposed_tile * streamed / far,
               weights / (machine.prefetch_share * far) + streamed / far);
  return one_thread * busiest_share(plan, threads);
}

namespace {

constexpr double kNever = 1e30;

struct Candidate {
  Tiling tiling;
  double seconds = kNever;
  int pixels = 0;
};

// Smaller tiles leave more of L2 to the maps: of two that are equal within 1 %, take the smaller,
// down to a few pixel groups per panel.
bool better(const Candidate& a, const Candidate& b, int min_pixels) {
  if (a.seconds < 0.99 * b.seconds) return true;
  return a.seconds < 1.01 * b.seconds && a.pixels >= min_pixels && a.pixels < b.pixels;
}

// The fastest tiling with so many levels of Strassen's algorithm.
Candidate best_of_levels(const KernelTable& table, const MachineModel& machine,
                         const BlockShape& shape, const TilingRequest& request, int levels) {
  const int only = std::min(request.rows, shape.out_height());  // or 0
  const int min_pixels = table.traits.per_lane > 1 ? kMinPairTilePixels : kMinTilePixels;
  Candidate best;
  for (int rows = shape.out_height(); rows >= 1; --rows) {
    if (only != 0 ? rows != only
                  : rows != strassen_rows(levels, rows, shape.out_height(), shape.out_width())) {
      continue;
    }
    for (int parts = 1; parts <= request.threads; ++parts) {
      Candidate candidate{
          {static_cast<Algorithm>(levels), rows, parts}, 0.0, rows * shape.out_width()};
      candidate.seconds =
          estimate_seconds(table, machine, shape, candidate.tiling, request.threads);
      if (better(candidate, best, min_pixels)) best = candidate;
    }
  }
  return best;
}

}  // namespace

Tiling choose_tiling(const KernelTable& table, const MachineModel& machine, const BlockShape& shape,
                     const TilingRequest& request) {
  if (!shape.is_pair()) return choose_ring_tiling(table, machine, shape, request);
  const bool direct = request.choice == AlgorithmChoice::kDirect;
  const int most = direct ? 0 : request.most_levels;
  Candidate best[std::size(kLevels)];
  for (int levels = 0; levels <= most; ++levels) {
    if (levels == 0 || strassen_applies(table.traits, shape, levels)) {
      best[levels] = best_of_levels(table, machine, shape, request, levels);
    }
  }
  const bool forced = request.choice == AlgorithmChoice::kStrassen;
  int chosen = 0;
  for (int levels = 1; levels <= most; ++levels) {
    const bool wanted = (forced && levels == 1) || levels <= request.least_levels;
    const double limit = best[chosen].seconds / kMinStrassenGain;
    if (best[levels].seconds < (wanted ? kNever : limit)) chosen = levels;
  }
  Tiling tiling = best[chosen].tiling;
  const BlockPlan plan = plan_block(table.traits, shape, tiling);
  tiling.weights_stay = fits_l2(plan, machine);
  return tiling;
}

}  // namespace mobileone::kernels
