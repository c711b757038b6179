// How a step is cut up: chosen by the cost model, or what a stored plan says.
#pragma once

#include "mobileone/backends/fused/support.hpp"
#include "mobileone/base/error.hpp"
#include "mobileone/kernels/tiling/conv_tiling.hpp"

namespace mobileone::fused {

// The stored plan's tiling of `name`, or what `choose(choice, threads per image)` returns; filed
// with the plan. Throws Error for a stored plan without it.
template <typename Choose>
kernels::Tiling tiling_for(const std::string& name, std::int64_t images, PlanBuilder& builder,
                           const Choose& choose) {
  const CompileOptions& options = builder.options();
  const auto stored = options.tilings.find(name);
  if (!options.tilings.empty() && stored == options.tilings.end()) {
    throw Error(concat("[plan] no tiling of ", name));
  }
  const kernels::AlgorithmChoice choice =
      options.algorithm == Algorithm::direct     ? kernels::AlgorithmChoice::kDirect
      : options.algorithm == Algorithm::strassen ? kernels::AlgorithmChoice::kStrassen
                                                 : kernels::AlgorithmChoice::kAuto;
  // Images are spread over the threads first: only then the tiles of one.
  const int threads =
      std::max(1, options.threads / static_cast<int>(std::max<std::int64_t>(1, images)));
  return builder.tilings[name] =
             stored != options.tilings.end() ? stored->second : choose(choice, threads);
}

// What tiling_for() takes: the fastest by the cost model.
template <typename KernelShape>
auto by_cost_model(const KernelShape& shape) {
  return [&shape](kernels::AlgorithmChoice choice, int threads) {
    return kernels::choose_tiling(table(), kernels::machine_model(table()), shape, choice, threads);
  };
}

}  // namespace mobileone::fused
