#include "mobileone/kernels/depthwise/depthwise.hpp"
#include "mobileone/kernels/entry_points.hpp"
#include "mobileone/kernels/simd/epilogue.hpp"
#include "mobileone/kernels/simd/permute.hpp"

namespace mobileone::kernels::MOBILEONE_ISA {
namespace {

constexpr int kMaxRowPointers = 64;

/// One unit: a band of one block of output channels.
class Band {
 public:
  Band(const DepthwiseMapPlan& plan, const DepthwiseMapArgs& args)
      : plan_(plan),
        shape_(plan.shape),
        args_(args),
        scratch_(static_cast<float*>(args.scratch)),
        zeros_(scratch_ + plan.band_slots() * plan.row_floats()) {
    if (!shape_.copies()) return;
    for (std::ptrdiff_t i = 0; i < plan.row_floats(); i += kLanes) store(zeros_ + i, zero());
  }

  void run(int block, int begin, int end) const {
    const MapShape dst = shape_.dst();
    const int first = begin * shape_.stride - shape_.reach();
    if (shape_.copies()) {
      for (int i = 0; i < (end - 1 - begin) * shape_.stride + shape_.kernel; ++i) {
        if (inside(first + i)) copy_row(block, first + i, slot(i));
      }
    }
    const DepthwiseWindow window{.kernel = shape_.kernel,
                                 .stride = shape_.stride,
                                 .taps = args_.packed + block * depthwise_floats(shape_.kernel),
                                 .floor = epilogue_floor(shape_.epilogue),
                                 .dst_row = dst.row_stride()};
    const int step = (kMaxRowPointers - shape_.kernel) / shape_.stride + 1;
    for (int y = begin; y < end; y += step) {
      const int count = end - y < step ? end - y : step;
      const float* rows[kMaxRowPointers];
      for (int i = 0; i < (count - 1) * shape_.stride + shape_.kernel; ++i) {
        rows[i] = source(block, y * shape_.stride - shape_.reach() + i, first);
      }
      depthwise_rows(window, rows, count, dst.width, args_.dst + dst.offset(block, y, 0));
    }
    finish_rows(shape_.epilogue, dst, {block, block + 1, begin, end}, args_.residual, args_.dst);
  }

 private:
  bool inside(int y) const { return y >= 0 && y < shape_.height; }
  float* slot(int i) const { return scratch_ + i * plan_.row_floats(); }
  const float* source(int block, int y, int first) const {
    if (!shape_.copies()) return args_.src + shape_.src().offset(block, y, -1);
    return inside(y) ? slot(y - first) : zeros_;
  }

  // Row `y` of the channels that make output block `block`, each as often as it makes one.
  void copy_row(int block, int y, float* to) const {
    const std::ptrdiff_t border = std::ptrdiff_t{shape_.reach()} * kBlock;
    for (std::ptrdiff_t i = 0; i < border; i += kLanes) {
      store(to + i, zero());
      store(to + plan_.row_floats() - border + i, zero());
    }
    const MapShape src = shape_.src();
    for (int lane = 0; lane < kBlock; lane += kLanes) {
      const int first = (block * kBlock + lane) / shape_.multiplier;
      const int vector = first / kLanes * kLanes;
      std::int32_t order[kLanes];
      for (int i = 0; i < kLanes; ++i) {
        order[i] = (block * kBlock + lane + i) / shape_.multiplier - vector;
      }
      const Indices indices = load_indices(order);
      const float* from = args_.src + src.offset(vector / kBlock, y, 0) + vector % kBlock;
      float* out = to + border + lane;
      for (int x = 0; x < shape_.width; ++x, from += kBlock, out += kBlock) {
        store(out, permute(load(from), indices));
      }
    }
  }

  const DepthwiseMapPlan& plan_;
  const DepthwiseMapShape& shape_;
  const DepthwiseMapArgs& args_;
  float* scratch_;
  float* zeros_;
};

}  // namespace

void run_depthwise_map(const DepthwiseMapPlan& plan, const DepthwiseMapArgs& args, int unit_begin,
                       int unit_end) {
  const Band band(plan, args);
  const int height = plan.shape.dst().height;
  for (int unit = unit_begin; unit < unit_end; ++unit) {
    const int begin = unit % plan.bands() * plan.band_rows;
    const int end = begin + plan.band_rows < height ? begin + plan.band_rows : height;
    band.run(unit / plan.bands(), begin, end);
  }
}

}  // namespace mobileone::kernels::MOBILEONE_ISA
