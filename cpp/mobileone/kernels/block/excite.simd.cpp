#include "mobileone/kernels/block/block_tile.hpp"
#include "mobileone/kernels/entry_points.hpp"
#include "mobileone/kernels/simd/epilogue.hpp"

namespace mobileone::kernels::MOBILEONE_ISA {
namespace {

// `rows` of a panel as wide as so many vectors, each times its factor.
template <int kVectors>
void scale_panel(const float* from, const float* scale, int rows, float* to) {
  constexpr int kWidth = kVectors * kLanes;
  for (int k = 0; k < rows; ++k, from += kWidth, to += kWidth) {
    const Vec factor = broadcast(scale[k]);
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      store(to + v * kLanes, mul(load(from + v * kLanes), factor));
    }
  }
}

}  // namespace

const float* excite(const BlockPlan& plan, const SqueezeExcite& se, float* scratch) {
  const std::ptrdiff_t channels = std::ptrdiff_t{plan.project.k_blocks} * kBlock;
  float *sums = scratch + plan.vectors_offset(), *hidden = sums + channels;
  float* scale = hidden + channels;
  squeeze_excite(se, sums, plan.project.tile_pixels, hidden, scale);
  return scale;
}

void scale_tile(const BlockPlan& plan, const float* scale, float* scratch) {
  const PointwisePlan& project = plan.project;
  const Activation activation = plan.shape.excite == ExcitePlace::kBeforeActivation
                                    ? plan.shape.depthwise_activation
                                    : Activation::kNone;
  const Vec low = broadcast(activation_floor(activation));
  const std::ptrdiff_t floats = std::ptrdiff_t{project.tile_pixels} * kBlock;
  const bool rounds = kTraits.per_lane > 1, at_once = rounds && is_floor(activation);
  float* t = rounds ? scratch + plan.wide_offset() : scratch;
  float* rounded = scratch;
  for (int block = 0; block < project.k_blocks; ++block, scale += kBlock) {
    for (int lane = 0; lane < kBlock; lane += kLanes) {
      const Vec factor = load(scale + lane);
      for (std::ptrdiff_t i = lane; i < floats; i += kBlock) {
        const Vec value = max(low, mul(load(t + i), factor));
        if (at_once) {
          store_bfloat16(rounded + i / 2, value);
        } else {
          store(t + i, value);
        }
      }
    }
    if (!at_once) activate_in_place(activation, t, floats);
    if (rounds && !at_once) store_tile(t, rounded, floats);
    t += std::ptrdiff_t{project.pitch()} * kBlock;
    rounded += std::ptrdiff_t{project.pitch()} * TileElement::kBlockLanes;
  }
}

void scale_weights(const BlockPlan& plan, const float* packed, const float* scale, int begin,
                   int end, float* out) {
  const PointwisePlan& project = plan.project;
  const int rows = project.k_blocks * kBlock;
  for (int index = begin; index < end; ++index) {
    const Panel panel = project.panel(index);
    const std::ptrdiff_t at = project.panel_offset(panel.first_block);
    switch (panel.columns() / kLanes) {
      case 1:
        scale_panel<1>(packed + at, scale, rows, out + at);
        break;
      case 2:
        scale_panel<2>(packed + at, scale, rows, out + at);
        break;
      default:
        scale_panel<3>(packed + at, scale, rows, out + at);
    }
  }
}

void scale_taps(const BlockPlan& plan, const float* taps, const float* scale, float* out) {
  const std::ptrdiff_t weights = plan.block_taps() / kBlock - 1;  // then the bias
  for (int block = 0; block < plan.project.k_blocks; ++block, scale += kBlock) {
    for (std::ptrdiff_t tap = 0; tap <= weights; ++tap, taps += kBlock, out += kBlock) {
      for (int lane = 0; lane < kBlock; lane += kLanes) {
        const Vec w = load(taps + lane);
        store(out + lane, tap < weights ? mul(w, load(scale + lane)) : w);
      }
    }
  }
}

}  // namespace mobileone::kernels::MOBILEONE_ISA
