// An inverted residual block (MobileNetV2, arXiv 1801.04381, section 3.3) in inference form:
// 1x1 expansion and activation, 3x3 depthwise convolution and activation, 1x1 projection, and the
// input added to the result where the shapes agree. The expanded maps, several times larger than
// input and output, never exist: their rows live in a ring in scratch.
//
// Use: plan_inverted_residual once per shape, pack_inverted_residual once per set of weights, then
// KernelTable::run_inverted_residual per image, on any contiguous range of plan.tiles() at a time.
// A range computes the expanded rows at its upper edge once more.
#pragma once

#include "mobileone/kernels/activation.hpp"
#include "mobileone/kernels/block/dwpw.hpp"

namespace mobileone::kernels {

struct InvertedResidualShape {
  int channels_in = 0;
  int hidden = 0;
  int channels_out = 0;
  int height = 0;  // of the input
  int width = 0;
  int stride = 1;  // 1 or 2, of the depthwise convolution; its padding is 1
  Activation activation = Activation::kSilu;  // after the expansion and after the depthwise
  bool residual = false;                      // adds the input to the result

  int out_height() const { return (height - 1) / stride + 1; }
  int out_width() const { return (width - 1) / stride + 1; }
  MapShape src() const { return {channels_in, height, width}; }
  MapShape dst() const { return {channels_out, out_height(), out_width()}; }
  /// Multiply-accumulates of the three convolutions.
  double macs() const;
};

struct InvertedResidualPlan {
  static constexpr int kMaxTileRows = 16;

  InvertedResidualShape shape;
  PointwisePlan expand;   // how its weights are packed; it runs row by row
  PointwisePlan project;  // over tiles of tile_rows output rows
  int tile_rows = 0;

  int tiles() const { return ceil_div(shape.out_height(), tile_rows); }

  // Packed: expansion's bias [16 blocks] and panels, depthwise taps [blocks][10][16], projection's
  // bias and panels.
  std::ptrdiff_t expand_offset() const { return std::ptrdiff_t{expand.n_blocks} * kBlock; }
  std::ptrdiff_t taps_offset() const { return expand_offset() + expand.packed_floats(); }
  std::ptrdiff_t bias_offset() const {
    return taps_offset() + std::ptrdiff_t{10} * expand.n_blocks * kBlock;
  }
  std::ptrdiff_t project_offset() const {
    return bias_offset() + std::ptrdiff_t{project.n_blocks} * kBlock;
  }
  std::size_t packed_bytes() const {
    return sizeof(float) * static_cast<std::size_t>(project_offset() + project.packed_floats());
  }

  // The ring: [hidden blocks][slots][width + 2][16], and one row of zeros after it.
  int ring_slots() const { return shape.stride * (tile_rows - 1) + 3; }
  std::ptrdiff_t ring_row() const { return std::ptrdiff_t{shape.width + 2} * kBlock; }
  std::ptrdiff_t ring_block() const { return ring_slots() * ring_row(); }
  /// Scratch that each concurrent caller needs, aligned to kAlignment: T, then the ring.
  std::size_t scratch_bytes() const {
    return sizeof(float) * static_cast<std::size_t>(project.scratch_floats() +
                                                    expand.n_blocks * ring_block() + ring_row());
  }
};

/// Pointers of one run over one image. Maps are blocked (layout.hpp), with zero borders.
struct InvertedResidualArgs {
  const float* src = nullptr;
  float* dst = nullptr;
  const float* packed = nullptr;  // pack_inverted_residual
  void* scratch = nullptr;
  // What the next step reads first: brought into L2 while this one computes.
  const float* next_data = nullptr;
  std::ptrdiff_t next_floats = 0;
};

/// Whether Strassen's algorithm can run the projection.
bool strassen_applies(const InvertedResidualShape& shape);

/// Throws std::invalid_argument for sizes < 1, a stride other than 1 or 2, a residual between
/// different shapes, tile_rows < 1 or > kMaxTileRows, and for kStrassen (of the projection) where
/// it does not apply. `panel_blocks` comes from the KernelTable that will run the plan.
InvertedResidualPlan plan_inverted_residual(int panel_blocks, const InvertedResidualShape& shape,
                                            int tile_rows,
                                            Algorithm algorithm = Algorithm::kDirect);

/// The weights of one block, as the network has them; biases may be null (zero).
struct InvertedResidualWeights {
  const float* expand = nullptr;  // [hidden][channels_in]
  const float* expand_bias = nullptr;
  const float* depthwise = nullptr;  // [hidden][3][3]
  const float* depthwise_bias = nullptr;
  const float* project = nullptr;  // [channels_out][hidden]
  const float* project_bias = nullptr;
};

/// `packed` holds plan.packed_bytes(), aligned to kAlignment.
void pack_inverted_residual(const InvertedResidualPlan& plan,
                            const InvertedResidualWeights& weights, float* packed);

}  // namespace mobileone::kernels
