#include "mobileone/kernels/conv/phases.hpp"

#include "mobileone/kernels/conv/conv_tile.hpp"
#include "mobileone/kernels/conv/phase_windows.hpp"

namespace mobileone::kernels::MOBILEONE_ISA {
namespace {

/// A tile's windows of rows, the larger kind's first, and all of columns.
class PhaseTile {
 public:
  PhaseTile(const ConvTile& conv, const PhaseScratch& parts)
      : conv_(conv),
        parts_(parts),
        rows_(conv.plan.shape.height, conv.plan.shape.dilation),
        columns_(conv.plan.shape.width, conv.plan.shape.dilation),
        inputs_(reinterpret_cast<std::int32_t*>(conv.t + parts.inputs())) {
    const auto part = rows_.part(conv.row_begin / conv.plan.tile_rows, conv.plan.tiles());
    large_ = part.large_end - part.large_begin;
    count_ = large_ + part.small_end - part.small_begin;
    const auto row = static_cast<std::int32_t>(conv.plan.shape.src().row_stride());
    for (int i = 0; i < large_; ++i) place(rows_, part.large_begin + i, row, row_inputs(i));
    for (int i = large_; i < count_; ++i) {
      place(rows_, rows_.large + part.small_begin + i - large_, row, row_inputs(i));
    }
    for (int i = 0; i < columns_.windows(); ++i) place(columns_, i, kBlock, column_inputs(i));
  }

  /// Windows that have this pair of forms.
  int windows(int i, int j) const { return down(i) * across(j); }

  /// All forms of a chunk of the source with this one of rows.
  void transform_source(int form, int chunk) const {
    switch (form) {
      case 0:
        return for_kinds(Source<0>{*this, chunk});
      case 1:
        return for_kinds(Source<1>{*this, chunk});
      case 2:
        return for_kinds(Source<2>{*this, chunk});
      case 3:
        return for_kinds(Source<3>{*this, chunk});
      default:
        return for_kinds(Source<4>{*this, chunk});
    }
  }
  // To the map, with the bias and the floor.
  void transform_result(const PointwiseTile& tile) const { for_kinds(Result{*this, tile}); }

 private:
  int down(int form) const { return form < rows_.small_forms() ? count_ : large_; }
  int across(int form) const {
    return form < columns_.small_forms() ? columns_.windows() : columns_.large;
  }
  std::int32_t* row_inputs(int i) const { return inputs_ + i * PhaseAxis::kMostInputs; }
  std::int32_t* column_inputs(int i) const { return row_inputs(count_ + i); }

  // Floats from the map's first pixel to what a window reads, of pixels that are `stride` apart: of
  // those outside of the map, which are zero, the border's.
  static void place(const PhaseAxis& axis, int window, std::int32_t stride, std::int32_t* at) {
    const int first = axis.first(window) - (axis.pairs ? 0 : axis.dilation);
    for (int i = 0; i < PhaseAxis::kMostInputs; ++i) {
      const int pixel = first + i * axis.dilation;
      at[i] = (pixel >= 0 && pixel < axis.extent ? pixel : -1) * stride;
    }
  }

  template <typename Work, typename LargeY, typename SmallY, typename LargeX, typename SmallX>
  void for_windows(const Work& work) const {
    const int wide = columns_.large, all = columns_.windows();
    work.template run<LargeY, LargeX>(0, large_, 0, wide);
    work.template run<LargeY, SmallX>(0, large_, wide, all);
    work.template run<SmallY, LargeX>(large_, count_, 0, wide);
    work.template run<SmallY, SmallX>(large_, count_, wide, all);
  }
  template <typename Work>
  void for_kinds(const Work& work) const {
    if (rows_.pairs && columns_.pairs) return for_windows<Work, Pair, One, Pair, One>(work);
    if (rows_.pairs) return for_windows<Work, Pair, One, Three, Two>(work);
    if (columns_.pairs) return for_windows<Work, Three, Two, Pair, One>(work);
    for_windows<Work, Three, Two, Three, Two>(work);
  }

  template <int kForm>
  struct Source {
    const PhaseTile& tile;
    int chunk;

    template <typename Y, typename X>
    void run(int y_begin, int y_end, int x_begin, int x_end) const {
      if constexpr (kForm < Y::kForms) transform<Y, X>(y_begin, y_end, x_begin, x_end);
    }

    template <typename Y, typename X>
    void transform(int y_begin, int y_end, int x_begin, int x_end) const {
      if (y_begin == y_end || x_begin == x_end) return;
      const ConvShape& shape = tile.conv_.plan.shape;
      const PhaseScratch& parts = tile.parts_;
      const int first = blocks(shape.channels_in), begin = parts.chunks.begin(chunk);
      for (int i = 0; i < parts.chunks.size(chunk); ++i) {
        const int block = begin + i;
        const bool second = block >= first;
        const MapShape map = second ? shape.src2() : shape.src();
        const float* src = second ? tile.conv_.args.src2 : tile.conv_.args.src;
        const float* from = src + map.offset(second ? block - first : block, 0, 0);
        float* to = tile.conv_.t + parts.source() + std::ptrdiff_t{i} * parts.pitch * kBlock;
        for (int y = y_begin; y < y_end; ++y) {
          for (int lane = 0; lane < kBlock; lane += kLanes) {
            row<Y, X>(from + lane, y, x_begin, x_end, to + lane);
          }
        }
      }
    }

    // A row of windows.
    template <typename Y, typename X>
    void row(const float* from, int y, int x_begin, int x_end, float* to) const {
      const float* rows[Y::kInputs];
      float* forms[X::kForms];
      for (int a = 0; a < Y::kInputs; ++a) rows[a] = from + tile.row_inputs(y)[a];
      for (int j = 0; j < X::kForms; ++j) {
        const std::ptrdiff_t place = std::ptrdiff_t{y} * tile.across(j) + x_begin;
        forms[j] = to + j * tile.parts_.source_form() + place * kBlock;
      }
      const std::int32_t* columns = tile.column_inputs(x_begin);
      const std::ptrdiff_t floats = std::ptrdiff_t{x_end - x_begin} * kBlock;
      for (std::ptrdiff_t x = 0; x < floats; x += kBlock, columns += PhaseAxis::kMostInputs) {
        Vec half[X::kInputs], sums[X::kForms];
#pragma GCC unroll 5
        for (int b = 0; b < X::kInputs; ++b) {
          Vec pixels[Y::kInputs], own[Y::kForms];
#pragma GCC unroll 5
          for (int a = 0; a < Y::kInputs; ++a) pixels[a] = load(rows[a] + columns[b]);
          Y::source(pixels, own);
          half[b] = own[kForm];
        }
        X::source(half, sums);
#pragma GCC unroll 5
        for (int j = 0; j < X::kForms; ++j) store(forms[j] + x, sums[j]);
      }
    }
  };

  struct Result {
    const PhaseTile& tile;
    const PointwiseTile& operands;

    template <typename Y, typename X>
    void run(int y_begin, int y_end, int x_begin, int x_end) const {
      if (y_begin == y_end || x_begin == x_end) return;
      const PointwisePlan& product = tile.conv_.plan.pointwise;
      for (int index = 0; index < product.num_panels(); ++index) {
        const Panel panel = product.panel(index);
        for (int i = 0; i < panel.num_blocks * kBlock; i += kLanes) {
          const int block = panel.first_block + i / kBlock, lane = i % kBlock;
          const Vec bias = load(operands.bias + block * kBlock + lane);
          const float* from =
              tile.conv_.t + tile.parts_.result() + tile.parts_.result_panel(panel) + i;
          float* to = tile.conv_.args.dst + tile.conv_.plan.shape.dst().offset(block, 0, 0) + lane;
          for (int y = y_begin; y < y_end; ++y) {
            for (int x = x_begin; x < x_end; ++x) {
              window<Y, X>(from, panel.columns(), bias, to, y, x);
            }
          }
        }
      }
    }

    template <typename Y, typename X>
    void window(const float* from, std::ptrdiff_t pitch, Vec bias, float* to, int y, int x) const {
      const PhaseScratch& parts = tile.parts_;
      const std::ptrdiff_t dilation = tile.rows_.dilation;
      const std::ptrdiff_t down = dilation * tile.conv_.plan.shape.dst().row_stride();
      to += tile.row_inputs(y)[Y::kReach] + tile.column_inputs(x)[X::kReach];
      const Vec floor = broadcast(operands.floor);
      Vec half[Y::kOutputs][X::kForms];
#pragma GCC unroll 5
      for (int j = 0; j < X::kForms; ++j) {
        const std::ptrdiff_t place = std::ptrdiff_t{y} * tile.across(j) + x;
        const float* const at = from + j * parts.result_form() + place * pitch;
        Vec products[Y::kForms], sums[Y::kOutputs];
#pragma GCC unroll 5
        for (int i = 0; i < Y::kForms; ++i) {
          products[i] = load(at + i * parts.column_forms * parts.result_form());
        }
        Y::result(products, sums);
#pragma GCC unroll 5
        for (int a = 0; a < Y::kOutputs; ++a) half[a][j] = sums[a];
      }
#pragma GCC unroll 5
      for (int a = 0; a < Y::kOutputs; ++a) {
        Vec sums[X::kOutputs];
        X::result(half[a], sums);
#pragma GCC unroll 5
        for (int b = 0; b < X::kOutputs; ++b) {
          store(to + a * down + b * dilation * kBlock, max(floor, add(sums[b], bias)));
        }
      }
    }
  };

  const ConvTile& conv_;
  const PhaseScratch& parts_;
  PhaseAxis rows_, columns_;
  int count_, large_;  // windows of rows, and those of the larger kind
  std::int32_t* inputs_;
};

// A chunk of all products of one pair of forms; the next weights are fetched meanwhile, and during
// the last what `background` holds.
void multiply(const ConvTile& conv, const PhaseScratch& parts, int row_form, int chunk,
              int column_form, int windows, const PointwiseTile& tile, PrefetchStream* background) {
  const PointwisePlan& product = conv.plan.pointwise;
  const float* const end = tile.packed + conv.plan.panels_floats();
  Chain chain = chain_of_windows(parts.pitch, chunk == 0 ? conv.t + parts.zeros() : nullptr);
  chain.k_blocks = parts.chunks.size(chunk);
  Link& link = chain.links[0];
  link.b = tile.packed + parts.weights(row_form, chunk, column_form);
  float* const result =
      conv.t + parts.result() + (row_form * parts.column_forms + column_form) * parts.result_form();
  for (int index = 0; index < product.num_panels(); ++index) {
    const Panel panel = product.panel(index);
    const int vectors = panel.columns() / kLanes;
    const std::ptrdiff_t floats = std::ptrdiff_t{chain.k_blocks} * kBlock * panel.columns();
    const float* const next = link.b + floats;
    PrefetchStream stream = tile.stream(next, floats < end - next ? next + floats : end);
    link.a = conv.t + parts.source() + column_form * parts.source_form();
    link.partial = result + parts.result_panel(panel);
    multiply_groups(chain, PixelGroups(windows, max_pixels(vectors)), vectors, stream, background);
    link.b = next;
  }
}

}  // namespace

void run_phases(const ConvTile& conv, const PointwiseTile& tile, PrefetchStream* background) {
  const PhaseScratch parts(conv.plan);
  const PhaseTile windows(conv, parts);
  for (int i = 0; i < PhaseScratch::kMostBlocks * kBlock; ++i) conv.t[parts.zeros() + i] = 0.0f;
  for (int i = 0; i < parts.row_forms; ++i) {
    for (int chunk = 0; chunk < parts.chunks.count; ++chunk) {
      windows.transform_source(i, chunk);
      for (int j = 0; j < parts.column_forms; ++j) {
        const int count = windows.windows(i, j);
        const bool last = i + 1 == parts.row_forms && chunk + 1 == parts.chunks.count &&
                          j + 1 == parts.column_forms;
        if (count == 0) continue;
        multiply(conv, parts, i, chunk, j, count, tile, last ? background : nullptr);
      }
    }
  }
  windows.transform_result(tile);
}

}  // namespace mobileone::kernels::MOBILEONE_ISA
