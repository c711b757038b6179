#include "mobileone/kernels/conv/phases.hpp"

#include "mobileone/kernels/conv/conv_tile.hpp"

namespace mobileone::kernels::MOBILEONE_ISA {
namespace {

// Kinds of windows along one side (phases.hpp): forms of what they read, and outputs of products.
// kReach: pixels before the first output.

struct Three {
  static constexpr int kInputs = 5, kForms = 5, kOutputs = 3, kReach = 1;
  static inline __attribute__((always_inline)) void source(const Vec (&d)[5], Vec (&v)[5]) {
    const Vec two = broadcast(2.0f), odd = sub(d[1], d[3]);
    v[0] = fma(broadcast(-0.5f), odd, sub(d[0], d[2]));
    v[1] = sub(fma(two, d[1], d[2]), d[3]);
    v[2] = sub(mul(broadcast(3.0f), d[2]), fma(two, d[1], d[3]));
    v[3] = fma(two, odd, sub(d[4], d[2]));
    v[4] = sub(d[3], d[1]);
  }
  static inline __attribute__((always_inline)) void result(const Vec (&m)[5], Vec (&y)[3]) {
    const Vec sum = add(m[1], m[2]);
    y[0] = add(add(m[0], sum), m[4]);
    y[1] = fma(broadcast(2.0f), m[4], sub(m[1], m[2]));
    y[2] = add(fma(broadcast(4.0f), m[4], sum), m[3]);
  }
};

struct Two {
  static constexpr int kInputs = 4, kForms = 4, kOutputs = 2, kReach = 1;
  static inline __attribute__((always_inline)) void source(const Vec (&d)[4], Vec (&v)[4]) {
    v[0] = sub(d[0], d[2]);
    v[1] = add(d[1], d[2]);
    v[2] = mul(broadcast(3.0f), sub(d[2], d[1]));
    v[3] = sub(d[1], d[3]);
  }
  static inline __attribute__((always_inline)) void result(const Vec (&m)[4], Vec (&y)[2]) {
    y[0] = add(m[0], add(m[1], m[2]));
    y[1] = sub(sub(m[1], m[2]), m[3]);
  }
};

struct Pair {
  static constexpr int kInputs = 2, kForms = 3, kOutputs = 2, kReach = 0;
  static inline __attribute__((always_inline)) void source(const Vec (&d)[2], Vec (&v)[3]) {
    v[0] = add(d[0], d[1]);
    v[1] = d[1];
    v[2] = d[0];
  }
  static inline __attribute__((always_inline)) void result(const Vec (&m)[3], Vec (&y)[2]) {
    y[0] = add(m[0], m[1]);
    y[1] = add(m[0], m[2]);
  }
};

struct One {
  static constexpr int kInputs = 1, kForms = 1, kOutputs = 1, kReach = 0;
  static inline __attribute__((always_inline)) void source(const Vec (&d)[1], Vec (&v)[1]) {
    v[0] = d[0];
  }
  static inline __attribute__((always_inline)) void result(const Vec (&m)[1], Vec (&y)[1]) {
    y[0] = m[0];
  }
};

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
    for (int i = 0; i < large_; ++i) place(rows_, part.large_begin + i, row_inputs(i));
    for (int i = large_; i < count_; ++i) {
      place(rows_, rows_.large + part.small_begin + i - large_, row_inputs(i));
    }
    for (int i = 0; i < columns_.windows(); ++i) place(columns_, i, column_inputs(i));
  }

  /// Windows that have this pair of forms.
  int windows(int i, int j) const { return down(i) * across(j); }

  /// All forms of the source with this one of rows.
  void transform_source(int form) const {
    switch (form) {
      case 0:
        return for_kinds(Source<0>{*this});
      case 1:
        return for_kinds(Source<1>{*this});
      case 2:
        return for_kinds(Source<2>{*this});
      case 3:
        return for_kinds(Source<3>{*this});
      default:
        return for_kinds(Source<4>{*this});
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

  // Pixels that a window reads: of those outside of the map, which are zero, the border's.
  static void place(const PhaseAxis& axis, int window, std::int32_t* at) {
    const int first = axis.first(window) - (axis.pairs ? 0 : axis.dilation);
    for (int i = 0; i < PhaseAxis::kMostInputs; ++i) {
      const int pixel = first + i * axis.dilation;
      at[i] = pixel >= 0 && pixel < axis.extent ? pixel : -1;
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

    template <typename Y, typename X>
    void run(int y_begin, int y_end, int x_begin, int x_end) const {
      if constexpr (kForm < Y::kForms) transform<Y, X>(y_begin, y_end, x_begin, x_end);
    }

    template <typename Y, typename X>
    void transform(int y_begin, int y_end, int x_begin, int x_end) const {
      if (y_begin == y_end || x_begin == x_end) return;
      const ConvShape& shape = tile.conv_.plan.shape;
      const int first = blocks(shape.channels_in);
      for (int block = 0; block < tile.parts_.k_blocks; ++block) {
        const bool second = block >= first;
        const MapShape map = second ? shape.src2() : shape.src();
        const float* src = second ? tile.conv_.args.src2 : tile.conv_.args.src;
        const float* from = src + map.offset(second ? block - first : block, 0, 0);
        float* to = tile.conv_.t + tile.parts_.source() +
                    std::ptrdiff_t{block} * tile.parts_.pitch * kBlock;
        for (int y = y_begin; y < y_end; ++y) {
          for (int x = x_begin; x < x_end; ++x) {
            for (int lane = 0; lane < kBlock; lane += kLanes) {
              window<Y, X>(from + lane, map.row_stride(), y, x, to + lane);
            }
          }
        }
      }
    }

    template <typename Y, typename X>
    void window(const float* from, std::ptrdiff_t row_stride, int y, int x, float* to) const {
      const std::int32_t* const rows = tile.row_inputs(y);
      const std::int32_t* const columns = tile.column_inputs(x);
      Vec half[X::kInputs], forms[X::kForms];
#pragma GCC unroll 5
      for (int b = 0; b < X::kInputs; ++b) {
        const float* const column = from + std::ptrdiff_t{columns[b]} * kBlock;
        Vec pixels[Y::kInputs], own[Y::kForms];
#pragma GCC unroll 5
        for (int a = 0; a < Y::kInputs; ++a) pixels[a] = load(column + rows[a] * row_stride);
        Y::source(pixels, own);
        half[b] = own[kForm];
      }
      X::source(half, forms);
#pragma GCC unroll 5
      for (int j = 0; j < X::kForms; ++j) {
        const std::ptrdiff_t place = std::ptrdiff_t{y} * tile.across(j) + x;
        store(to + j * tile.parts_.source_form() + place * kBlock, forms[j]);
      }
    }
  };

  struct Result {
    const PhaseTile& tile;
    const PointwiseTile& operands;

    template <typename Y, typename X>
    void run(int y_begin, int y_end, int x_begin, int x_end) const {
      if (y_begin == y_end || x_begin == x_end) return;
      for (int block = 0; block < tile.parts_.n_blocks; ++block) {
        const float* from = tile.conv_.t + tile.parts_.result() +
                            std::ptrdiff_t{block} * tile.parts_.pitch * kBlock;
        const float* bias = operands.bias + block * kBlock;
        for (int y = y_begin; y < y_end; ++y) {
          for (int x = x_begin; x < x_end; ++x) {
            for (int lane = 0; lane < kBlock; lane += kLanes) {
              window<Y, X>(from + lane, load(bias + lane), block, lane, y, x);
            }
          }
        }
      }
    }

    template <typename Y, typename X>
    void window(const float* from, Vec bias, int block, int lane, int y, int x) const {
      const MapShape dst = tile.conv_.plan.shape.dst();
      const int dilation = tile.rows_.dilation;
      const int top = tile.row_inputs(y)[Y::kReach], left = tile.column_inputs(x)[X::kReach];
      float* const to = tile.conv_.args.dst + dst.offset(block, top, left) + lane;
      const Vec floor = broadcast(operands.floor);
      Vec half[Y::kOutputs][X::kForms];
#pragma GCC unroll 5
      for (int j = 0; j < X::kForms; ++j) {
        const std::ptrdiff_t place = std::ptrdiff_t{y} * tile.across(j) + x;
        const float* const at = from + j * tile.parts_.result_form() + place * kBlock;
        Vec products[Y::kForms], sums[Y::kOutputs];
#pragma GCC unroll 5
        for (int i = 0; i < Y::kForms; ++i) {
          products[i] = load(at + i * tile.parts_.column_forms * tile.parts_.result_form());
        }
        Y::result(products, sums);
#pragma GCC unroll 5
        for (int a = 0; a < Y::kOutputs; ++a) half[a][j] = sums[a];
      }
#pragma GCC unroll 5
      for (int a = 0; a < Y::kOutputs; ++a) {
        Vec sums[X::kOutputs];
        X::result(half[a], sums);
        float* const row = to + a * dilation * dst.row_stride();
#pragma GCC unroll 5
        for (int b = 0; b < X::kOutputs; ++b) {
          store(row + std::ptrdiff_t{b} * dilation * kBlock, max(floor, add(sums[b], bias)));
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

// All products of one pair of forms, of rows and of columns; the next weights are fetched
// meanwhile, and during the last what `background` holds.
void multiply(const ConvTile& conv, const PhaseScratch& parts, int row_form, int column_form,
              int windows, const PointwiseTile& tile, PrefetchStream* background) {
  const int form = row_form * parts.column_forms + column_form;
  const PointwisePlan& product = conv.plan.pointwise;
  const float* end = tile.packed + conv.plan.panels_floats();
  Chain chain;
  chain.k_blocks = parts.k_blocks;
  chain.floor = kUnlimited;
  chain.row = conv.t + parts.zeros();
  chain.dst_block = std::ptrdiff_t{parts.pitch} * kBlock;
  Link& link = chain.links[0];
  link.a_block = chain.dst_block;
  link.b = tile.packed + form * product.packed_floats();
  float* const result = conv.t + parts.result() + form * parts.result_form();
  const auto* offsets = reinterpret_cast<const std::int32_t*>(conv.t + parts.offsets());
  for (int index = 0; index < product.num_panels(); ++index) {
    const Panel panel = product.panel(index);
    const int vectors = panel.columns() / kLanes;
    const std::ptrdiff_t floats = std::ptrdiff_t{parts.k_blocks} * kBlock * panel.columns();
    const float* const next = link.b + floats;
    PrefetchStream stream = tile.stream(next, next + floats < end ? next + floats : end);
    const PixelGroups groups(windows, max_pixels(vectors));
    link.a = conv.t + parts.source() + column_form * parts.source_form();
    link.output = {result + panel.first_block * chain.dst_block, offsets};
    multiply_groups(chain, groups, vectors, stream, background);
    link.b = next;
  }
}

}  // namespace

void run_phases(const ConvTile& conv, const PointwiseTile& tile, PrefetchStream* background) {
  const PhaseScratch parts(conv.plan);
  const PhaseTile windows(conv, parts);
  for (int i = 0; i < PhaseScratch::kMostBlocks * kBlock; ++i) conv.t[parts.zeros() + i] = 0.0f;
  auto* offsets = reinterpret_cast<std::int32_t*>(conv.t + parts.offsets());
  for (int i = 0; i < parts.windows; ++i) offsets[i] = i * kBlock;
  for (int i = 0; i < parts.row_forms; ++i) {
    windows.transform_source(i);
    for (int j = 0; j < parts.column_forms; ++j) {
      const int count = windows.windows(i, j);
      const bool last = i + 1 == parts.row_forms && j + 1 == parts.column_forms;
      if (count > 0) multiply(conv, parts, i, j, count, tile, last ? background : nullptr);
    }
  }
  windows.transform_result(tile);
}

}  // namespace mobileone::kernels::MOBILEONE_ISA
