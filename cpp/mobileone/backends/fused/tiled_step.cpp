#include "mobileone/backends/fused/tiled_step.hpp"

namespace mobileone::fused {

class TiledStep::Bound : public BoundStep {
 public:
  Bound(const TiledStep& step, const Buffers& buffers) : step_(step), buffers_(buffers) {}

  void run() override {
    const Work& work = step_.work_;
    zero_borders(work.map, work.images, work.result, buffers_);
    const auto run_part = [&](int begin, int end, int worker) {
      void* scratch =
          buffers_.scratch() + static_cast<std::size_t>(worker) * aligned_bytes(work.thread_bytes);
      while (begin < end) {
        const int image = begin / work.units;
        const int last = std::min(end, (image + 1) * work.units);
        step_.run_units(buffers_,
                        {image, begin - image * work.units, last - image * work.units, scratch});
        begin = last;
      }
    };
    spread(step_.pool_, static_cast<int>(work.images) * work.units, run_part,
           work.parts_per_thread);
  }

 private:
  const TiledStep& step_;
  const Buffers& buffers_;
};

std::unique_ptr<BoundStep> TiledStep::bind(const Buffers& buffers) const {
  return std::make_unique<Bound>(*this, buffers);
}

}  // namespace mobileone::fused
