#include "mobileone/kernels/tiling/cost_model.hpp"

#include <algorithm>

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

// Strassen's S1..S4.
double sums_bytes(const PointwisePlan& p) { return double(p.sums_floats()) * sizeof(float); }

// T and its sums.
double tile_bytes(const PointwisePlan& p) {
  return double(p.tile_floats()) * sizeof(float) + sums_bytes(p);
}

// What every panel reads again: of a T that is the whole map, the part of one pointwise call.
double call_bytes(const PointwisePlan& p) {
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
  const bool strassen = p.strassen();
  const double k = p.k_blocks * kBlock, n = p.n_blocks * kBlock;
  const double pixels = double(shape.out_height()) * shape.out_width();
  const double lanes = table.traits.lanes;
  const double group = table.traits.pixels;
  const double cycle_flops = 4.0 * lanes;  // two FMA ports

  const double calls = pixels / group * n / (p.panel_blocks * kBlock) * (strassen ? 0.75 : 1.0);
  const double flops = pixels * k * n * (strassen ? 1.75 : 2.0) / table.traits.per_lane +
                       pixels * n * (kStoreFlops + (strassen ? kPartialFlops : 0.0)) +
                       calls * kRestartCycles * cycle_flops;
  const double taps = double(shape.kernel) * shape.kernel;
  const double depthwise = 2.0 * taps * pixels * k / kDepthwiseShare * plan.column_parts;
  const double sums =
      (strassen ? kSumTraffic * pixels * k * sizeof(float) : 0.0) + ring_bytes(plan);
  const double arithmetic =
      (flops + depthwise) / machine.peak_flops + sums / machine.l2_bytes_per_second;

  const double weight_bytes = double(p.packed_floats()) * sizeof(float);
  const double panel_bytes = weight_bytes / p.num_panels();
  const double room = kResidentShare * machine.l2_bytes;
  const double tile = call_bytes(p);
  const double passes = ceil_div(shape.out_height(), plan.tile_rows);
  const double weights = weight_bytes * (fits_l2(plan, machine) ? 1.0 : passes);
  // A panel in use, and the next one on its way.
  const double streamed = tile + 2.0 * panel_bytes <= room ? 0.0 : tile * p.num_panels() * passes;
  const double far = machine.far_bytes_per_second;
  const double one_thread =
      std::max(arithmetic + kExposedWeights * weights / far + machine.exposed_tile * streamed / far,
               weights / (machine.prefetch_share * far) + streamed / far);
  return one_thread * busiest_share(plan, threads);
}

namespace {

struct Candidate {
  Tiling tiling;
  double seconds = 1e30;
  int pixels = 0;
};

// Smaller tiles leave more of L2 to the maps: of two that are equal within 1 %, take the smaller,
// down to a few pixel groups per panel.
bool better(const Candidate& a, const Candidate& b, int min_pixels) {
  if (a.seconds < 0.99 * b.seconds) return true;
  return a.seconds < 1.01 * b.seconds && a.pixels >= min_pixels && a.pixels < b.pixels;
}

}  // namespace

Tiling choose_tiling(const KernelTable& table, const MachineModel& machine, const BlockShape& shape,
                     const TilingRequest& request) {
  if (!shape.is_pair()) return choose_ring_tiling(table, machine, shape, request);
  const auto [choice, threads, rows_wanted] = request;
  const int only = std::min(rows_wanted, shape.out_height());  // or 0
  const int min_pixels = table.traits.per_lane > 1 ? kMinPairTilePixels : kMinTilePixels;
  Candidate best[2];  // direct, Strassen
  for (int which = 0; which < 2; ++which) {
    const Algorithm algorithm = which == 0 ? Algorithm::kDirect : Algorithm::kStrassen;
    for (int rows = shape.out_height(); rows >= 1; --rows) {
      if (which == 1 && !strassen_applies(table.traits, shape)) continue;
      if (only != 0 && rows != only) continue;
      for (int parts = 1; parts <= threads; ++parts) {
        Candidate candidate{{algorithm, rows, parts}, 0.0, rows * shape.out_width()};
        candidate.seconds = estimate_seconds(table, machine, shape, candidate.tiling, threads);
        if (better(candidate, best[which], min_pixels)) best[which] = candidate;
      }
    }
  }
  const double limit = choice == AlgorithmChoice::kStrassen ? 1e30
                       : choice == AlgorithmChoice::kAuto   ? best[0].seconds / kMinStrassenGain
                                                            : 0.0;
  Tiling tiling = best[best[1].seconds < limit].tiling;
  const BlockPlan plan = plan_block(table.traits, shape, tiling);
  tiling.weights_stay = fits_l2(plan, machine);
  return tiling;
}

}  // namespace mobileone::kernels
