// How a step is cut up: chosen by the cost model, found by measurements, or what a stored plan
// says.
#pragma once

#include <algorithm>
#include <optional>

#include "mobileone/backends/fused/support.hpp"
#include "mobileone/backends/fused/tiling_record.hpp"
#include "mobileone/base/error.hpp"
#include "mobileone/kernels/tiling/conv_tiling.hpp"
#include "mobileone/kernels/tiling/stem_tiling.hpp"

namespace mobileone::fused {

// What measurements found for the step of `name` (CompileOptions::choices), unless the compile
// options say how to multiply. `allowed`, asked only of a choice of Strassen's algorithm, says how
// many levels of it may be taken.
template <typename Allowed>
std::optional<TunedTiling> tuned_tiling(const std::string& name, const PlanBuilder& builder,
                                        const Allowed& allowed) {
  const Record* const choice = builder.choice(name);
  if (choice == nullptr || builder.options().algorithm != Algorithm::automatic) return {};
  TunedTiling tuned = to_tuned(name, *choice);
  if (tuned.levels > 0) tuned.levels = std::min(tuned.levels, allowed());
  return tuned;
}

// Whether measurements said how the step of `name` is cut up.
inline bool is_tuned(const std::string& name, const PlanBuilder& builder) {
  const auto tuned = tuned_tiling(name, builder, [] { return kMostLevels; });
  return tuned && tuned->rows != 0;
}

// What choose(TilingRequest) returns for a batch, whose images are spread over the plan's threads
// before the tiles of one are; what measurements found comes first. What an image's bits depend on
// is chosen as if it were alone and on one thread: the algorithm, and the rows of a tile where
// `sums` of the output are made per tile.
template <typename Choose>
kernels::Tiling batch_tiling(std::int64_t images, bool sums, const CompileOptions& options,
                             const std::optional<TunedTiling>& tuned, const Choose& choose) {
  using enum kernels::AlgorithmChoice;
  const auto of_levels = [](int levels) {
    return kernels::TilingRequest{
        .choice = levels > 0 ? kStrassen : kDirect, .most_levels = levels, .least_levels = levels};
  };
  const kernels::Tiling alone =
      choose(tuned ? of_levels(tuned->levels)
                   : kernels::TilingRequest{.choice = algorithm_choice(options.algorithm)});
  const int rows = sums ? alone.tile_rows : tuned ? tuned->rows : 0;
  const std::int64_t threads = options.threads / std::max<std::int64_t>(1, images);
  if (threads <= 1 && rows == 0) return alone;
  kernels::TilingRequest request = of_levels(static_cast<int>(alone.algorithm));
  request.threads = static_cast<int>(std::max<std::int64_t>(1, threads));
  request.rows = rows;
  kernels::Tiling tiling = choose(request);
  if (tuned && tuned->column_parts != 0) tiling.column_parts = tuned->column_parts;
  return tiling;
}

// The stored plan's tiling of `name`, or batch_tiling(); filed with the plan. Throws Error for a
// stored plan without it.
template <typename Choose>
kernels::Tiling tiling_for(const std::string& name, std::int64_t images, bool sums,
                           const std::optional<TunedTiling>& tuned, PlanBuilder& builder,
                           const Choose& choose) {
  const Record* const stored = builder.stored_record(name);
  const kernels::Tiling tiling = stored
                                     ? to_tiling(name, *stored)
                                     : batch_tiling(images, sums, builder.options(), tuned, choose);
  builder.keep_record(name, to_record(tiling));
  return tiling;
}

// What tiling_for() takes: the fastest by the cost model.
template <typename KernelShape>
auto by_cost_model(const KernelShape& shape, const kernels::KernelTable& kernels = table()) {
  return [&](const kernels::TilingRequest& request) {
    return kernels::choose_tiling(kernels, kernels::machine_model(kernels), shape, request);
  };
}

}  // namespace mobileone::fused
