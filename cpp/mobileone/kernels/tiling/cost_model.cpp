#include "mobileone/kernels/tiling/cost_model.hpp"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <memory>

#include "mobileone/kernels/tiling/conv_tiling.hpp"

namespace mobileone::kernels {

namespace {

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

double cache_bytes(int name, double fallback) {
  const long bytes = sysconf(name);  // 0 or -1 where the C library cannot tell
  return bytes > 0 ? static_cast<double>(bytes) : fallback;
}

// The fastest of a few runs: other processes can only make one slower.
template <typename Work>
double fastest(int runs, const Work& work) {
  double best = 1e30;
  for (int i = 0; i < runs; ++i) {
    const double start = now();
    work();
    best = std::min(best, now() - start);
  }
  return best;
}

double read_rate(const KernelTable& table, const float* data, double bytes, int runs) {
  const std::ptrdiff_t count = static_cast<std::ptrdiff_t>(bytes / sizeof(float)) / 128 * 128;
  volatile float sink = 0.0f;
  const double seconds = fastest(runs, [&] { sink = sink + table.read_sum(data, count); });
  return static_cast<double>(count) * sizeof(float) / seconds;
}

constexpr double kRestartCycles = 35.0;  // a microkernel call that does not overlap the previous
constexpr double kStoreFlops = 6.0;      // per output: bias, floor, store, in FMA slots
constexpr double kPartialFlops = 6.0;    // per output: Strassen's U0 and U1
constexpr double kDepthwiseShare = 0.6;  // of peak, typical
constexpr double kResidentShare = 0.6;   // of L2 that a tile may count on
constexpr double kExposedWeights = 0.2;  // of the time to fetch them; the rest hides behind FMAs
// Of the bandwidth that the hardware's own prefetching reaches, what prefetch instructions reach:
// each occupies one of the few buffers for misses until its line has come.
constexpr double kPrefetchShare = 0.27;
constexpr double kExposedTile = 0.7;     // the same for a T that does not stay in L2
constexpr double kNextStepShare = 0.35;  // of L2, for data of the next step
constexpr int kMinTilePixels = 96;
constexpr double kSumTraffic = 3.0;  // of Strassen's sums: bytes through L2 per byte of T
constexpr double kMinStrassenGain = 1.03;

}  // namespace

MachineModel measure_machine(const KernelTable& table) {
  MachineModel m;
  m.l1_bytes = cache_bytes(_SC_LEVEL1_DCACHE_SIZE, 32.0 * 1024);
  m.l2_bytes = cache_bytes(_SC_LEVEL2_CACHE_SIZE, 1024.0 * 1024);
  float sink[16];
  double flops = 0.0;
  const double seconds = fastest(20, [&] { flops = table.peak(10000, sink); });
  m.peak_flops = flops / seconds;

  // Enough that L2 holds little of it: more costs a start time and memory, and reads no slower.
  const double far_bytes = 3.0 * m.l2_bytes;
  const std::size_t size = static_cast<std::size_t>(far_bytes) / kAlignment * kAlignment;
  const std::unique_ptr<float, decltype(&std::free)> data(
      static_cast<float*>(std::aligned_alloc(kAlignment, size)), std::free);
  std::fill_n(data.get(), size / sizeof(float), 1.0f);
  m.far_bytes_per_second = read_rate(table, data.get(), far_bytes, 3);
  m.l2_bytes_per_second = read_rate(table, data.get(), m.l2_bytes / 2, 10);
  return m;
}

const MachineModel& machine_model(const KernelTable& table) {
  if (table.isa == Isa::kAvx512) {
    static const MachineModel avx512 = measure_machine(table);
    return avx512;
  }
  static const MachineModel avx2 = measure_machine(table);
  return avx2;
}

namespace {

// Strassen's S1..S4.
double sums_bytes(const PointwisePlan& p) {
  return p.strassen() ? 4.0 * (p.k_blocks / 2) * p.half_pitch() * kBlock * sizeof(float) : 0.0;
}

// T and its sums.
double tile_bytes(const PointwisePlan& p) {
  return double(p.tile_floats()) * sizeof(float) + sums_bytes(p);
}

// What every panel reads again: of a T that is the whole map, the part of one pointwise call.
double call_bytes(const PointwisePlan& p) {
  const int pixels = std::min(p.pitch(), tile_pitch(p.max_pixels));
  return double(p.k_blocks) * pixels * kBlock * sizeof(float) + sums_bytes(p);
}

bool fits_l2(const BlockPlan& plan, const MachineModel& machine) {
  const double weights = double(plan.project.packed_floats()) * sizeof(float);
  return weights + tile_bytes(plan.project) <= kResidentShare * machine.l2_bytes;
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
  const double flops = pixels * k * n * (strassen ? 1.75 : 2.0) +
                       pixels * n * (kStoreFlops + (strassen ? kPartialFlops : 0.0)) +
                       calls * kRestartCycles * cycle_flops;
  const double depthwise = 18.0 * pixels * k / kDepthwiseShare * plan.column_parts;
  const double sums = strassen ? kSumTraffic * pixels * k * sizeof(float) : 0.0;
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
      std::max(arithmetic + kExposedWeights * weights / far + kExposedTile * streamed / far,
               weights / (kPrefetchShare * far) + streamed / far);
  return one_thread * ceil_div(plan.units(), threads) / plan.units();
}

namespace {

struct Candidate {
  Tiling tiling;
  double seconds = 1e30;
  int pixels = 0;
};

// Smaller tiles leave more of L2 to the maps: of two that are equal within 1 %, take the smaller,
// down to a few pixel groups per panel.
bool better(const Candidate& a, const Candidate& b) {
  if (a.seconds < 0.99 * b.seconds) return true;
  return a.seconds < 1.01 * b.seconds && a.pixels >= kMinTilePixels && a.pixels < b.pixels;
}

}  // namespace

Tiling choose_tiling(const KernelTable& table, const MachineModel& machine, const BlockShape& shape,
                     AlgorithmChoice choice, int threads) {
  if (shape.has_ring()) return choose_ring_tiling(table, machine, shape, choice, threads);
  Candidate best[2];  // direct, Strassen
  for (int which = 0; which < 2; ++which) {
    const Algorithm algorithm = which == 0 ? Algorithm::kDirect : Algorithm::kStrassen;
    for (int rows = shape.out_height(); rows >= 1; --rows) {
      if (which == 1 && !strassen_applies(shape)) continue;
      for (int parts = 1; parts <= threads; ++parts) {
        Candidate candidate{{algorithm, rows, parts}, 0.0, rows * shape.out_width()};
        candidate.seconds = estimate_seconds(table, machine, shape, candidate.tiling, threads);
        if (better(candidate, best[which])) best[which] = candidate;
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
