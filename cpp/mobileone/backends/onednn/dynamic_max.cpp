#include "mobileone/backends/onednn/memory.hpp"
#include "mobileone/backends/onednn/primitive_step.hpp"
#include "mobileone/backends/onednn/steps.hpp"
#include "mobileone/base/error.hpp"

// oneDNN has no such primitive: a loop of our own over its layouts, one pass over memory.
namespace mobileone::onednn {

namespace {

#define MOBILEONE_INLINE [[gnu::always_inline]] inline

// Up to two pieces of up to two terms on a run of channels that lie side by side: pointers to the
// first channel at the first pixel, and to the first channel's coefficients.
struct Run {
  const float* x[2];
  float* y;
  const float* slope[2][2];            // [piece][term]
  const float* offset[2];              // null without offsets
  std::int64_t pixels, lanes, stride;  // floats from one pixel to the next
};

template <int kTerms, bool kOffsets>
MOBILEONE_INLINE float piece_at(const Run& run, int k, const float* const* x, std::int64_t lane) {
  float sum = run.slope[k][0][lane] * x[0][lane];
  if constexpr (kTerms == 2) sum += run.slope[k][1][lane] * x[1][lane];
  if constexpr (kOffsets) sum += run.offset[k][lane];
  return sum;
}

// kLanes = 0: a number of lanes that is not known at compile time.
template <int kTerms, bool kOffsets, int kLanes>
MOBILEONE_INLINE void maximum_of(const Run& run) {
  const std::int64_t lanes = kLanes > 0 ? kLanes : run.lanes;
  for (std::int64_t pixel = 0; pixel < run.pixels; ++pixel) {
    const float* x[2] = {run.x[0] + pixel * run.stride, run.x[1] + pixel * run.stride};
    float* y = run.y + pixel * run.stride;
#pragma GCC ivdep
    for (std::int64_t lane = 0; lane < lanes; ++lane) {
      const float first = piece_at<kTerms, kOffsets>(run, 0, x, lane);
      const float second = piece_at<kTerms, kOffsets>(run, 1, x, lane);
      y[lane] = first < second ? second : first;
    }
  }
}

template <int kTerms, bool kOffsets>
MOBILEONE_INLINE void maximum_of(const Run& run) {
  if (run.lanes == 16) return maximum_of<kTerms, kOffsets, 16>(run);
  if (run.lanes == 8) return maximum_of<kTerms, kOffsets, 8>(run);
  maximum_of<kTerms, kOffsets, 0>(run);
}

MOBILEONE_INLINE void dispatch(const Run& run, bool two_terms) {
  const bool offsets = run.offset[0] != nullptr;
  if (two_terms) {
    offsets ? maximum_of<2, true>(run) : maximum_of<2, false>(run);
  } else {
    offsets ? maximum_of<1, true>(run) : maximum_of<1, false>(run);
  }
}

[[gnu::target("avx512f,avx512vl,prefer-vector-width=512")]] void maximum_avx512(const Run& run,
                                                                                bool two_terms) {
  dispatch(run, two_terms);
}
[[gnu::target("avx2")]] void maximum_avx2(const Run& run, bool two_terms) {
  dispatch(run, two_terms);
}

void maximum_baseline(const Run& run, bool two_terms) { dispatch(run, two_terms); }

// Blocks of 16 are oneDNN's layout for AVX-512, those of 8 for all CPUs below.
using Loop = void (*)(const Run&, bool);
Loop best_loop() {
  if (channel_block() == 16) return maximum_avx512;
  return __builtin_cpu_supports("avx2") ? maximum_avx2 : maximum_baseline;
}

// [N, C, H, W] as `blocks` of `width` channels: nChw16c, or one block for nhwc.
struct Geometry {
  std::int64_t images, channels, pixels, width;
  std::int64_t blocks() const { return channels / width; }
  std::int64_t at(std::int64_t image, std::int64_t block) const {
    return (image * blocks() + block) * pixels * width;
  }
};

class BoundDynamicMax : public BoundStep {
 public:
  BoundDynamicMax(const DynamicMax& op, const Geometry& geometry, ValueId x, ValueId s, ValueId y,
                  int threads, const Buffers& buffers)
      : op_(op), geometry_(geometry), x_(x), s_(s), y_(y), threads_(threads), buffers_(buffers) {}

  void run() override {
    expand_coefficients();
    // nhwc has one block: its pixels are shared out instead.
    const std::int64_t parts = geometry_.blocks() == 1 ? threads_ : 1;
    const std::int64_t tasks = geometry_.images * geometry_.blocks() * parts;
#pragma omp parallel for num_threads(threads_) schedule(static) if (threads_ > 1)
    for (std::int64_t task = 0; task < tasks; ++task) {
      const std::int64_t part = task % parts, begin = part * geometry_.pixels / parts;
      run_block(task / parts / geometry_.blocks(), task / parts % geometry_.blocks(), begin,
                (part + 1) * geometry_.pixels / parts);
    }
  }

 private:
  float* coefficients() const { return reinterpret_cast<float*>(buffers_.scratch()); }

  // Every vector with one value per channel, so that the loops need not know who shares.
  void expand_coefficients() const {
    const auto* s = static_cast<const float*>(buffers_.address(s_));
    float* to = coefficients();
    for (std::int64_t image = 0; image < geometry_.images; ++image) {
      for (std::int64_t vector = 0; vector < op_.vectors(); ++vector) {
        const auto factor = static_cast<float>(op_.factor(vector));
        const auto constant = static_cast<float>(op_.constant(vector));
        for (std::int64_t c = 0; c < op_.channels; ++c) {
          *to++ = factor * s[op_.shared ? 0 : c] + constant;
        }
        s += op_.shared ? 1 : op_.channels;
      }
    }
  }

  // The second term's channels may begin within a block: two runs, each with one source block.
  void run_block(std::int64_t image, std::int64_t block, std::int64_t begin,
                 std::int64_t end) const {
    const std::int64_t width = geometry_.width;
    const std::int64_t shift = op_.terms > 1 ? op_.channels / op_.groups % op_.channels : 0;
    const std::int64_t split = width - shift % width;
    const std::int64_t source = (block + shift / width) % geometry_.blocks();
    run_lanes(image, block, source, 0, split, shift % width, begin, end);
    if (split < width) {
      run_lanes(image, block, (source + 1) % geometry_.blocks(), split, width, -split, begin, end);
    }
  }

  // Lanes [first, last) of a block; the second term reads lane + offset of block `source`.
  void run_lanes(std::int64_t image, std::int64_t block, std::int64_t source, std::int64_t first,
                 std::int64_t last, std::int64_t offset, std::int64_t begin,
                 std::int64_t end) const {
    const auto* x = static_cast<const float*>(buffers_.address(x_));
    const std::int64_t skip = begin * geometry_.width + first;
    const float* own =
        coefficients() + image * op_.vectors() * op_.channels + block * geometry_.width + first;
    const auto vector = [&](std::int64_t v) { return own + v * op_.channels; };
    Run run{};
    run.x[0] = x + geometry_.at(image, block) + skip;
    run.x[1] = x + geometry_.at(image, source) + skip + offset;
    run.y = static_cast<float*>(buffers_.address(y_)) + geometry_.at(image, block) + skip;
    for (int k = 0; k < 2; ++k) {
      run.slope[k][0] = vector(k * op_.terms);
      run.slope[k][1] = op_.terms > 1 ? vector(k * op_.terms + 1) : nullptr;
      run.offset[k] = op_.offsets ? vector(2 * op_.terms + k) : nullptr;
    }
    run.pixels = end - begin;
    run.lanes = last - first;
    run.stride = geometry_.width;
    loop_(run, op_.terms > 1);
  }

  const DynamicMax& op_;
  Geometry geometry_;
  ValueId x_, s_, y_;
  int threads_;
  Loop loop_ = best_loop();
  const Buffers& buffers_;
};

class DynamicMaxStep : public Step {
 public:
  DynamicMaxStep(StepInfo info, const DynamicMax& op, const Geometry& geometry, ValueId x,
                 ValueId s, ValueId y, int threads)
      : Step(std::move(info)),
        op_(op),
        geometry_(geometry),
        x_(x),
        s_(s),
        y_(y),
        threads_(threads) {}

  std::size_t scratch_bytes() const override {
    return static_cast<std::size_t>(geometry_.images * op_.vectors() * op_.channels) *
           sizeof(float);
  }
  std::unique_ptr<BoundStep> bind(const Buffers& buffers) const override {
    return std::make_unique<BoundDynamicMax>(op_, geometry_, x_, s_, y_, threads_, buffers);
  }

 private:
  DynamicMax op_;
  Geometry geometry_;
  ValueId x_, s_, y_;
  int threads_;
};

}  // namespace

void emit(const DynamicMax& maximum, const LoweredOp& op, PlanBuilder& builder) {
  if (maximum.pieces != 2 || maximum.terms > 2) {
    throw NotSupported(mobileone::concat("[DynamicMax] ", builder.node(op.node).name, ": ",
                                         maximum.pieces, " pieces of ", maximum.terms,
                                         " terms; expected 2 of 1 or 2"));
  }
  const Node& node = builder.node(op.node);
  const Shape& shape = builder.shape(op.result);
  // Blocks that are whole, or nhwc: no layout with padding channels.
  const Layout layout = preferred_layout(shape);
  const ValueId x = builder.in_layout(node.inputs[0], layout);
  const ValueId s = builder.in_layout(node.inputs[1], Layout::nhwc());
  const ValueId y = builder.new_result(op.result, layout);
  const std::int64_t width = layout.kind == Layout::Kind::blocked ? layout.block : maximum.channels;
  const Geometry geometry{shape[0], maximum.channels, shape[2] * shape[3], width};
  builder.add_step(
      std::make_unique<DynamicMaxStep>(describe(op, builder, "mobileone loop"), maximum, geometry,
                                       x, s, y, builder.options().threads),
      {x, s}, {y});
}

}  // namespace mobileone::onednn
