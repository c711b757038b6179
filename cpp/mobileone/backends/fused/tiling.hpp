// How a step is cut up: chosen by the cost model, or what a stored plan says.
#pragma once

#include "mobileone/backends/fused/support.hpp"
#include "mobileone/backends/fused/tiling_record.hpp"
#include "mobileone/base/error.hpp"
#include "mobileone/kernels/tiling/conv_tiling.hpp"

namespace mobileone::fused {

// What choose(TilingRequest) returns for a batch, whose images are spread over the plan's threads
// before the tiles of one are. What an image's bits depend on is chosen as if it were alone and on
// one thread: the algorithm, and the rows of a tile where `sums` of the output are made per tile.
template <typename Choose>
kernels::Tiling batch_tiling(std::int64_t images, bool sums, const CompileOptions& options,
                             const Choose& choose) {
  const kernels::Tiling alone = choose({.choice = algorithm_choice(options.algorithm)});
  const std::int64_t threads = options.threads / std::max<std::int64_t>(1, images);
  if (threads <= 1) return alone;
  return choose({.choice = alone.algorithm == kernels::Algorithm::kStrassen
                               ? kernels::AlgorithmChoice::kStrassen
                               : kernels::AlgorithmChoice::kDirect,
                 .threads = static_cast<int>(threads),
                 .rows = sums ? alone.tile_rows : 0});
}

// The stored plan's tiling of `name`, or batch_tiling(); filed with the plan. Throws Error for a
// stored plan without it.
template <typename Choose>
kernels::Tiling tiling_for(const std::string& name, std::int64_t images, bool sums,
                           PlanBuilder& builder, const Choose& choose) {
  const Record* const stored = builder.stored_record(name);
  const kernels::Tiling tiling =
      stored ? to_tiling(name, *stored) : batch_tiling(images, sums, builder.options(), choose);
  builder.keep_record(name, to_record(tiling));
  return tiling;
}

// What tiling_for() takes: the fastest by the cost model.
template <typename KernelShape>
auto by_cost_model(const KernelShape& shape) {
  return [&shape](const kernels::TilingRequest& request) {
    return kernels::choose_tiling(table(), kernels::machine_model(table()), shape, request);
  };
}

}  // namespace mobileone::fused
