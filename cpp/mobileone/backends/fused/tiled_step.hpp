// A step that writes one blocked map, in independent units.
#pragma once

#include "mobileone/backends/fused/steps.hpp"
#include "mobileone/backends/fused/support.hpp"
#include "mobileone/backends/fused/tiling_record.hpp"
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
  const Record* const stored = builder.stored_record(name);
  const kernels::AlgorithmChoice choice =
      options.algorithm == Algorithm::direct     ? kernels::AlgorithmChoice::kDirect
      : options.algorithm == Algorithm::strassen ? kernels::AlgorithmChoice::kStrassen
                                                 : kernels::AlgorithmChoice::kAuto;
  // Images are spread over the threads first: only then the tiles of one.
  const int threads =
      std::max(1, options.threads / static_cast<int>(std::max<std::int64_t>(1, images)));
  const kernels::Tiling tiling = stored ? to_tiling(name, *stored) : choose(choice, threads);
  builder.keep_record(name, to_record(tiling));
  return tiling;
}

}  // namespace mobileone::fused
