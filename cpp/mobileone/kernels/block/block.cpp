#include "mobileone/kernels/block/block.hpp"

#include <algorithm>
#include <stdexcept>
#include <string>

namespace mobileone::kernels {

namespace {

void require(bool condition, const std::string& message) {
  if (!condition) throw std::invalid_argument("[block] " + message);
}

void check(const IsaTraits& isa, const BlockShape& shape, const Tiling& tiling) {
  require(shape.channels_in >= 1 && shape.expanded >= 0 && shape.channels_out >= 1 &&
              shape.height >= 1 && shape.width >= 1,
          "channels and sizes must be at least 1");
  require(shape.kernel == 0 || shape.kernel == 3 || shape.kernel == 5 || shape.kernel == 7,
          "kernel is " + std::to_string(shape.kernel) + "; expected 3, 5 or 7, or 0 for none");
  require(shape.has_depthwise() ||
              (shape.expands() && shape.stride == 1 && !shape.excites() && isa.per_lane == 1),
          "without a depthwise convolution it needs float32, an expansion, stride 1 and no "
          "squeeze-and-excite");
  require(shape.stride == 1 || shape.stride == 2,
          "stride is " + std::to_string(shape.stride) + "; expected 1 or 2");
  require(!shape.project.residual || (shape.stride == 1 && shape.channels_in == shape.channels_out),
          "a residual needs stride 1 and as many output as input channels");
  require(tiling.tile_rows >= 1 && tiling.column_parts >= 1,
          "tile_rows and column_parts must be at least 1");
  const int levels = static_cast<int>(tiling.algorithm);
  require(levels == 0 || strassen_applies(isa, shape, levels),
          "strassen needs float32, whole 16-channel blocks of output, and an even number of blocks "
          "on both sides");
}

}  // namespace

double BlockShape::macs() const {
  const double expansion = expands() ? double(height) * width * channels_in * expanded : 0.0;
  const double out = double(out_height()) * out_width();
  return expansion + out * hidden() * (double(kernel) * kernel + channels_out);
}

bool strassen_applies(const IsaTraits& isa, const BlockShape& shape, int levels) {
  // Sums of sums leave rounding residue in padding columns, which must stay zero: no padding then.
  return isa.per_lane == 1 && shape.channels_out % kBlock == 0 &&
         strassen_divides(levels, blocks(shape.hidden()), blocks(shape.channels_out));
}

BlockPlan plan_block(const IsaTraits& isa, const BlockShape& shape, const Tiling& tiling) {
  check(isa, shape, tiling);
  BlockPlan plan;
  plan.shape = shape;
  plan.weights_stay = tiling.weights_stay;
  const int height = shape.out_height();
  plan.tile_rows = strassen_rows(static_cast<int>(tiling.algorithm), tiling.tile_rows, height,
                                 shape.out_width());
  if (shape.expands()) {
    plan.expand = {.k_blocks = blocks(shape.channels_in),
                   .n_blocks = blocks(shape.expanded),
                   .panel_blocks = isa.panel_blocks};
  }
  plan.project = {.k_blocks = blocks(shape.hidden()),
                  .n_blocks = blocks(shape.channels_out),
                  .tile_pixels = plan.depthwise_rows() * shape.out_width(),
                  .max_pixels = plan.tile_rows * shape.out_width(),
                  .panel_blocks = isa.panel_blocks,
                  .algorithm = tiling.algorithm,
                  .half = half_block(isa, shape.channels_out, tiling.algorithm),
                  .per_lane = isa.per_lane};
  plan.column_parts = std::min(tiling.column_parts, plan.project.num_panels());
  plan.pairs_rows = isa.row_pairs() && (isa.per_lane > 1 || plan.project.strassen());
  return plan;
}

bool BlockPlan::scales_weights() const {
  return shape.excite == ExcitePlace::kAfterActivation && !project.strassen() &&
         project.per_lane == 1 && project.packed_floats() < project.tile_floats();
}

int BlockPlan::first_row(int tile) const {
  const int step = paired_rows(project.levels(), shape.out_width());
  const int height = shape.out_height();
  return std::min(step * (ceil_div(height, step) * tile / tiles()), height);
}

int BlockPlan::ring_blocks() const {
  if (ring_holds_all()) return project.k_blocks;
  if (!shape.expands()) return 1;
  return expand.panel(expand.num_panels() - 1).num_blocks;  // the widest
}

int BlockPlan::ring_rows() const {
  if (ring_holds_all()) return tile_rows;
  // Of each block: in L1 while the depthwise reads it. Fewer rows at a time cost more in calls than
  // a ring in L1 as a whole saves.
  constexpr std::ptrdiff_t kFloats = 24 * 1024 / sizeof(float);
  const int slots = static_cast<int>(kFloats / ring_row());
  return std::clamp((slots - shape.kernel) / shape.stride + 1, 1, depthwise_rows());
}

std::ptrdiff_t BlockPlan::vectors_offset() const {
  return scaled_taps_offset() + (shape.expands() ? 0 : taps_floats());
}

std::ptrdiff_t BlockPlan::ring_offset() const {
  const std::ptrdiff_t vectors = std::ptrdiff_t{3} * project.k_blocks * kBlock;
  return vectors_offset() + (shape.excites() ? vectors : 0);
}

std::ptrdiff_t BlockPlan::scaled_weights_offset() const {
  return ring_offset() + (shape.has_ring() ? ring_blocks() * ring_block() + ring_row() : 0);
}

std::ptrdiff_t BlockPlan::wide_offset() const {
  return scaled_weights_offset() + (scales_weights() ? project.packed_floats() : 0);
}

int BlockPlan::wide_rows() const {
  constexpr int kFloats = 8 * 1024 / sizeof(float);
  return std::clamp(kFloats / (shape.out_width() * kBlock), 1, tile_rows);
}

std::ptrdiff_t BlockPlan::wide_floats() const {
  if (project.per_lane == 1) return 0;
  if (shape.excites()) return std::ptrdiff_t{project.k_blocks} * project.pitch() * kBlock;
  return std::ptrdiff_t{wide_rows()} * shape.out_width() * kBlock;
}

std::size_t BlockPlan::scratch_bytes() const {
  return sizeof(float) * static_cast<std::size_t>(wide_offset() + wide_floats());
}

void pack_block(const BlockPlan& plan, const BlockWeights& weights, float* packed) {
  const BlockShape& shape = plan.shape;
  if (shape.expands()) {
    pack_bias(shape.expanded, weights.expand_bias, packed);
    pack_pointwise(plan.expand, shape.channels_in, shape.expanded, weights.expand,
                   packed + plan.expand_offset());
  }
  float* const taps = packed + plan.taps_offset();
  if (plan.in_row_pairs()) {
    pack_row_pairs(shape.hidden(), weights.depthwise, weights.depthwise_bias, taps);
  } else if (shape.has_depthwise()) {
    pack_depthwise(shape.hidden(), shape.kernel, weights.depthwise, weights.depthwise_bias, taps);
  }
  pack_bias(shape.channels_out, weights.project_bias, packed + plan.bias_offset());
  pack_pointwise(plan.project, shape.hidden(), shape.channels_out, weights.project,
                 packed + plan.project_offset());
}

}  // namespace mobileone::kernels
