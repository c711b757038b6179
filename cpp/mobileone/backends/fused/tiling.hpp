// How a step is cut up: chosen by the cost model, or what a stored plan says.
#pragma once

#include "mobileone/backends/fused/support.hpp"
#include "mobileone/base/error.hpp"
#include "mobileone/kernels/tiling/conv_tiling.hpp"

namespace mobileone::fused {

// What choose(choice, threads) returns for a batch, whose images are spread over the plan's threads
// before the tiles of one are. What an image's bits depend on is chosen as if it were alone: the
// algorithm, and the rows of a tile where Strassen's algorithm pairs its pixels or where `sums` of
// the output are made per tile.
template <typename Choose>
kernels::Tiling batch_tiling(std::int64_t images, bool sums, const CompileOptions& options,
                             const Choose& choose) {
  kernels::Tiling alone = choose(algorithm_choice(options.algorithm), options.threads);
  if (images <= 1) return alone;
  const int threads = static_cast<int>(std::max<std::int64_t>(1, options.threads / images));
  if (alone.algorithm == kernels::Algorithm::kDirect && !sums) {
    return choose(kernels::AlgorithmChoice::kDirect, threads);
  }
  alone.column_parts = std::min(alone.column_parts, threads);
  return alone;
}

// The stored plan's tiling of `name`, or batch_tiling(); filed with the plan. Throws Error for a
// stored plan without it.
template <typename Choose>
kernels::Tiling tiling_for(const std::string& name, std::int64_t images, bool sums,
                           PlanBuilder& builder, const Choose& choose) {
  const CompileOptions& options = builder.options();
  const auto stored = options.tilings.find(name);
  if (!options.tilings.empty() && stored == options.tilings.end()) {
    throw Error(concat("[plan] no tiling of ", name));
  }
  return builder.tilings[name] = stored != options.tilings.end()
                                     ? stored->second
                                     : batch_tiling(images, sums, options, choose);
}

// What tiling_for() takes: the fastest by the cost model.
template <typename KernelShape>
auto by_cost_model(const KernelShape& shape) {
  return [&shape](kernels::AlgorithmChoice choice, int threads) {
    return kernels::choose_tiling(table(), kernels::machine_model(table()), shape, choice, threads);
  };
}

}  // namespace mobileone::fused
