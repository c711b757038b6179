#include "mobileone/kernels/tiling/stem_tiling.hpp"

namespace mobileone::kernels {

namespace {

constexpr double kMinGain = 1.05;
constexpr double kRestOfWindow = 3.0;  // what an odd last column costs, in columns

// Whether 78 products in place of 108 are faster, with the forms that they read.
bool windows_pay(const MachineModel& machine, const StemPlan& stem) {
  const int rows = stem.out_height(), columns = stem.out_width();
  const double pixel = 2.0 * blocks(stem.channels) * kBlock * kStemTaps / machine.peak_flops;
  const double share = kStemWindowForms / 36.0;
  const double lines = StemWindowScratch::kRowForms * StemWindowScratch::kLines * kImageChannels;
  const double forms = lines * (ceil_div(rows, 2) * double(columns)) * sizeof(float);
  const double direct = pixel * rows * columns;
  const double windows =
      share * pixel * (rows + rows % 2) * (columns + columns % 2 * kRestOfWindow) +
      forms / machine.l2_bytes_per_second;
  return kMinGain * windows < direct;
}

}  // namespace

Tiling choose_tiling(const KernelTable& table, const MachineModel& machine, const StemPlan& stem,
                     const TilingRequest& request) {
  const bool windows = table.traits.per_lane == 1 && request.choice != AlgorithmChoice::kDirect &&
                       (request.choice == AlgorithmChoice::kStrassen || windows_pay(machine, stem));
  return {windows ? Algorithm::kStrassen : Algorithm::kDirect, stem.out_height()};
}

}  // namespace mobileone::kernels
