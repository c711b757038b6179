// TiledStep: a step whose work is images x independent units, spread over threads. All steps of
// this backend are one.
#pragma once

#include <optional>

#include "mobileone/backends/fused/prefetch.hpp"
#include "mobileone/backends/fused/support.hpp"

namespace mobileone::fused {

// Units of one image that a step is about to run.
struct UnitRange {
  std::int64_t image = 0;
  int begin = 0, end = 0;
  std::byte* scratch = nullptr;  // the calling thread's own
};

class TiledStep : public PrefetchingStep {
 public:
  struct Work {
    // A bordered map that the step writes: its border is zeroed first, where it has to be.
    ValueId map = -1;
    kernels::MapShape map_shape;
    // The same of a map of bytes.
    ValueId byte_map = -1;
    kernels::ByteMap byte_shape;
    int zero_point = 0;
    std::int64_t images = 1;
    int units = 1;  // per image
    int threads = 1;
    int parts_per_thread = 4;
    std::size_t thread_bytes = 0;  // scratch of each thread
    std::size_t shared_bytes = 0;  // scratch of all of them
    bool in_turn = false;          // an image begins when finish_image() of the one before is done
  };

  TiledStep(StepInfo info, const Work& work)
      : PrefetchingStep(std::move(info)), work_(work), pool_(pool(work.threads)) {}

  std::size_t scratch_bytes() const override {
    return aligned_bytes(work_.shared_bytes) +
           static_cast<std::size_t>(work_.threads) * aligned_bytes(work_.thread_bytes);
  }
  std::unique_ptr<BoundStep> bind(const Buffers& buffers) const override;

 protected:
  // Called from several threads at once.
  virtual void run_units(const Buffers& buffers, const UnitRange& range) const = 0;
  // Before the first and after the last unit of an image, of work that is done in turn. Shared
  // scratch begins at buffers.scratch().
  virtual void begin_image(const Buffers&, std::int64_t /*image*/) const {}
  virtual void finish_image(const Buffers&, std::int64_t /*image*/) const {}

  const Work& work() const { return work_; }
  static float* floats(const Buffers& buffers, ValueId id) {
    return id < 0 ? nullptr : static_cast<float*>(buffers.address(id));
  }
  // Image `image` of a map of bytes.
  static std::uint8_t* bytes_of(const Buffers& buffers, ValueId id, const kernels::ByteMap& map,
                                std::int64_t image) {
    return static_cast<std::uint8_t*>(buffers.address(id)) + image * map.num_bytes();
  }
  // Image `image` of a blocked map.
  static float* map_of(const Buffers& buffers, ValueId id, const kernels::MapShape& map,
                       std::int64_t image) {
    return floats(buffers, id) + image * map.num_floats();
  }

 private:
  class Bound;
  Work work_;
  ThreadPool* pool_;
};

}  // namespace mobileone::fused
