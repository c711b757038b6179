#include "mobileone/backends/loops/emit.hpp"
#include "mobileone/backends/loops/loop_step.hpp"
#include "mobileone/backends/loops/maps.hpp"
#include "mobileone/backends/loops/vectors.hpp"
#include "mobileone/base/error.hpp"

// One pass over memory, of channels in runs.
namespace mobileone::loops {

namespace {

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

using Loop = void (*)(const Run&, bool);
Loop best_loop() {
  if (vectors() == Vectors::avx512) return maximum_avx512;
  return __builtin_cpu_supports("avx2") ? maximum_avx2 : maximum_baseline;
}

// [N, C, H, W] as `blocks` of `width` channels: whole blocks, or one for nhwc.
struct Geometry {
  std::int64_t images, channels, pixels, width;
  std::int64_t blocks() const { return channels / width; }
  std::int64_t at(std::int64_t image, std::int64_t block) const {
    return (image * blocks() + block) * pixels * width;
  }
};

struct Maximum {
  DynamicMax op;
  Geometry geometry;
  Loop loop = best_loop();

  std::int64_t coefficients() const { return geometry.images * op.vectors() * op.channels; }

  // Every vector with one value per channel, so that the loops need not know who shares.
  void expand_coefficients(const float* s, float* to) const {
    for (std::int64_t image = 0; image < geometry.images; ++image) {
      for (std::int64_t vector = 0; vector < op.vectors(); ++vector) {
        const auto factor = static_cast<float>(op.factor(vector));
        const auto constant = static_cast<float>(op.constant(vector));
        for (std::int64_t c = 0; c < op.channels; ++c) {
          *to++ = factor * s[op.shared ? 0 : c] + constant;
        }
        s += op.shared ? 1 : op.channels;
      }
    }
  }

  // Pixels [begin, end) of a block. The second term's channels may begin within a block: two runs,
  // each with one source block.
  void run_block(const float* x, const float* expanded, float* y, std::int64_t image,
                 std::int64_t block, std::int64_t begin, std::int64_t end) const {
    const std::int64_t width = geometry.width;
    const std::int64_t shift = op.terms > 1 ? op.channels / op.groups % op.channels : 0;
    const std::int64_t split = width - shift % width;
    const std::int64_t source = (block + shift / width) % geometry.blocks();
    // Lanes [first, last); the second term reads lane + offset of block `from`.
    const auto run_lanes = [&](std::int64_t from, std::int64_t first, std::int64_t last,
                               std::int64_t offset) {
      const std::int64_t skip = begin * width + first;
      const float* own = expanded + image * op.vectors() * op.channels + block * width + first;
      const auto vector = [&](std::int64_t v) { return own + v * op.channels; };
      Run run{};
      run.x[0] = x + geometry.at(image, block) + skip;
      run.x[1] = x + geometry.at(image, from) + skip + offset;
      run.y = y + geometry.at(image, block) + skip;
      for (int k = 0; k < 2; ++k) {
        run.slope[k][0] = vector(k * op.terms);
        run.slope[k][1] = op.terms > 1 ? vector(k * op.terms + 1) : nullptr;
        run.offset[k] = op.offsets ? vector(2 * op.terms + k) : nullptr;
      }
      run.pixels = end - begin;
      run.lanes = last - first;
      run.stride = width;
      loop(run, op.terms > 1);
    };
    run_lanes(source, 0, split, shift % width);
    if (split < width) run_lanes((source + 1) % geometry.blocks(), split, width, -split);
  }
};

}  // namespace

template <>
void emit(const DynamicMax& maximum, const LoweredOp& op, PlanBuilder& builder) {
  const Node& node = builder.node(op.node);
  if (maximum.pieces != 2 || maximum.terms > 2) {
    throw NotSupported(concat("[DynamicMax] ", node.name, ": ", maximum.pieces, " pieces of ",
                              maximum.terms, " terms; expected 2 of 1 or 2"));
  }
  const Shape& shape = builder.shape(op.result);
  // Blocks that are whole, or nhwc: no layout with padding channels.
  const Layout layout = map_layout(builder, shape);
  const ValueId x = builder.in_layout(node.inputs[0], layout);
  const ValueId s = builder.in_layout(node.inputs[1], Layout::nhwc());
  const ValueId y = builder.new_result(op.result, layout);
  const std::int64_t width = layout.kind == Layout::Kind::blocked ? layout.block : maximum.channels;
  const Maximum loops{maximum, {shape[0], maximum.channels, shape[2] * shape[3], width}};
  // nhwc has one block: its pixels are shared out instead.
  const std::int64_t blocks = loops.geometry.blocks();
  const std::int64_t parts = blocks == 1 ? builder.options().threads : 1;
  const auto run = [=, pool = pool_of(builder)](const Buffers& buffers) {
    auto* const expanded = reinterpret_cast<float*>(buffers.scratch());
    loops.expand_coefficients(input(buffers, s), expanded);
    spread(pool, shape[0] * blocks * parts, [&](std::int64_t begin, std::int64_t end, int) {
      const std::int64_t pixels = loops.geometry.pixels;
      for (std::int64_t task = begin; task < end; ++task) {
        const std::int64_t part = task % parts;
        loops.run_block(input(buffers, x), expanded, output(buffers, y), task / parts / blocks,
                        task / parts % blocks, part * pixels / parts, (part + 1) * pixels / parts);
      }
    });
  };
  add_loop(op, builder, {x, s}, {y}, run,
           static_cast<std::size_t>(loops.coefficients()) * sizeof(float));
}

}  // namespace mobileone::loops
