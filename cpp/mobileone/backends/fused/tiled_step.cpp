#include "mobileone/backends/fused/tiled_step.hpp"

namespace mobileone::fused {

class TiledStep::Bound : public BoundStep {
 public:
  Bound(const TiledStep& step, const Buffers& buffers) : step_(step), buffers_(buffers) {}

  void run() override {
    const Work& work = step_.work_;
    if (work.map >= 0) zero_borders(work.map_shape, work.images, work.map, buffers_);
    if (work.byte_map >= 0) fill_borders(work);
    if (!work.in_turn) return run_images(0, work.images);
    for (std::int64_t image = 0; image < work.images; ++image) {
      step_.begin_image(buffers_, image);
      run_images(image, 1);
      step_.finish_image(buffers_, image);
    }
  }

 private:
  void fill_borders(const Work& work) {
    if (buffers_.border_kept(work.byte_map)) return;
    for (std::int64_t image = 0; image < work.images; ++image) {
      kernels::fill_border(work.byte_shape, work.zero_point,
                           bytes_of(buffers_, work.byte_map, work.byte_shape, image));
    }
  }
  void run_images(std::int64_t first, std::int64_t images) {
    const Work& work = step_.work_;
    const auto run_part = [&](std::int64_t begin, std::int64_t end, int worker) {
      std::byte* const scratch =
          buffers_.scratch() + aligned_bytes(work.shared_bytes) +
          static_cast<std::size_t>(worker) * aligned_bytes(work.thread_bytes);
      while (begin < end) {
        const std::int64_t image = begin / work.units, start = image * work.units;
        const std::int64_t last = std::min(end, start + work.units);
        step_.run_units(buffers_, {first + image, static_cast<int>(begin - start),
                                   static_cast<int>(last - start), scratch});
        begin = last;
      }
    };
    spread(step_.pool_, images * work.units, run_part, work.parts_per_thread);
  }

  const TiledStep& step_;
  const Buffers& buffers_;
};

std::unique_ptr<BoundStep> TiledStep::bind(const Buffers& buffers) const {
  return std::make_unique<Bound>(*this, buffers);
}

}  // namespace mobileone::fused
