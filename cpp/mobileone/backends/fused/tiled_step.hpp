// A step that writes one blocked map, in independent units.
#pragma once

#include "mobileone/backends/fused/steps.hpp"
#include "mobileone/backends/fused/support.hpp"
#include "mobileone/base/error.hpp"
#include "mobileone/kernels/tiling/conv_tiling.hpp"

namespace mobileone::fused {

// Units of one image that the step's kernel is about to run.
struct UnitRange {
  std::int64_t image = 0;
  int begin = 0, end = 0;
  void* scratch = nullptr;
};

class TiledStep : public PrefetchingStep {
 public:
  struct Work {
    kernels::MapShape map;  // of the result
    ValueId result = -1;
    std::int64_t images = 1;
    int units = 1;  // per image
    int threads = 1;
    int parts_per_thread = 4;
    std::size_t thread_bytes = 0;  // scratch of each
  };

  TiledStep(StepInfo info, const Work& work)
      : PrefetchingStep(std::move(info)), work_(work), pool_(pool(work.threads)) {}

  void set_next(const float* data, std::ptrdiff_t floats) override {
    next_data_ = data;
    next_floats_ = floats;
  }
  std::size_t scratch_bytes() const override {
    return static_cast<std::size_t>(work_.threads) * aligned_bytes(work_.thread_bytes);
  }
  std::unique_ptr<BoundStep> bind(const Buffers& buffers) const override;

  // Called from several threads at once, each with scratch of its own.
  virtual void run_units(const Buffers& buffers, const UnitRange& range) const = 0;

 protected:
  // Image `image` of a blocked map.
  static float* map_of(const Buffers& buffers, ValueId id, const kernels::MapShape& map,
                       std::int64_t image) {
    return static_cast<float*>(buffers.address(id)) + image * map.num_floats();
  }
  const float* next_data() const { return next_data_; }
  std::ptrdiff_t next_floats() const { return next_floats_; }

 private:
  class Bound;
  Work work_;
  ThreadPool* pool_;
  const float* next_data_ = nullptr;
  std::ptrdiff_t next_floats_ = 0;
};

// The stored plan's tiling of `name`, or what `choose(choice, threads per image)` returns; filed
// with the plan.
template <typename Choose>
kernels::Tiling tiling_for(const std::string& name, std::int64_t images, PlanBuilder& builder,
                           const Choose& choose) {
  const CompileOptions& options = builder.options();
  const auto stored = options.tilings.find(name);
  if (!options.tilings.empty() && stored == options.tilings.end()) {
    throw Error(concat("[plan] no tiling of ", name));
  }
  return builder.tilings[name] = stored != options.tilings.end()
                                     ? stored->second
                                     : batch_tiling(images, false, options, choose);
}

}  // namespace mobileone::fused
