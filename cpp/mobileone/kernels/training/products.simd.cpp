#include "mobileone/kernels/entry_points.hpp"
#include "mobileone/kernels/pointwise/microkernel.hpp"

namespace mobileone::kernels::MOBILEONE_ISA {
namespace {

constexpr int kPanelBlocks = kTraits.panel_blocks;

// Where a panel of a product is written, and what it starts from.
struct PanelOutput {
  const float* bias;
  const float* mask;  // null: none
  float* y;
  std::ptrdiff_t block;
  float floor;
};

struct PanelTerm {
  const float* x;
  std::ptrdiff_t x_block;
  int k_blocks;
  const float* panel;
};

template <int kPixels, int kVectors>
__attribute__((noinline)) void product_panel(const PanelTerm* terms, int num_terms,
                                             const PanelOutput& out) {
  constexpr int kWidth = kVectors * kLanes;
  const auto nothing = [](int) {};
  Vec acc[kPixels][kVectors];
#pragma GCC unroll 16
  for (int p = 0; p < kPixels; ++p) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) acc[p][v] = load(out.bias + v * kLanes);
  }
  for (int term = 0; term < num_terms; ++term) {
    const float* x = terms[term].x;
    const float* b = terms[term].panel;
    const std::ptrdiff_t x_block = terms[term].x_block;
    for (int block = terms[term].k_blocks; block > 0; --block, x += x_block) {
      const float* pixels = x;
      for (int step = 0; step < kBlock / 4; ++step, pixels += 4, b += 4 * kWidth) {
#pragma GCC unroll 4
        for (int k = 0; k < 4; ++k) multiply_column(acc, pixels + k, b + k * kWidth, nothing);
      }
    }
  }
  const Vec floor = broadcast(out.floor);
  float* const y = out.y;
  const float* const mask = out.mask;
  const std::ptrdiff_t y_block = out.block;
#pragma GCC unroll 16
  for (int p = 0; p < kPixels; ++p) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      const std::ptrdiff_t at = vector_block(v) * y_block + vector_lane(v) + p * kBlock;
      const Vec value = max(floor, acc[p][v]);
      store(y + at, mask == nullptr ? value : where_positive(load(mask + at), value));
    }
  }
}

using PanelProduct = void (*)(const PanelTerm*, int, const PanelOutput&);

template <int kVectors>
constexpr PanelProduct kPanelProducts[] = {
    nullptr,
    product_panel<1, kVectors>,
    product_panel<2, kVectors>,
    product_panel<3, kVectors>,
    product_panel<4, kVectors>,
    product_panel<5, kVectors>,
    product_panel<6, kVectors>,
#ifdef __AVX512F__
    product_panel<7, kVectors>,
    product_panel<8, kVectors>,
    product_panel<9, kVectors>,
    product_panel<10, kVectors>,
    product_panel<11, kVectors>,
    product_panel<12, kVectors>,
    product_panel<13, kVectors>,
    product_panel<14, kVectors>,
#endif
};

// A block of 16 columns has one or two vectors, a panel two.
constexpr int kBlockVectors = kBlock / kLanes;

PanelProduct find_panel_product(int pixels, int vectors) {
#ifdef __AVX512F__
  if (vectors == kBlockVectors) return kPanelProducts<kBlockVectors>[pixels];
#endif
  (void)vectors;
  return kPanelProducts<kBlockVectors * kPanelBlocks>[pixels];
}

}  // namespace

// Panels outside, rows inside: a panel stays in L1 or L2 while x streams past.
void multiply(const Product& p) {
  for (int first = 0; first < p.n_blocks; first += kPanelBlocks) {
    const int wide = p.n_blocks - first < kPanelBlocks ? p.n_blocks - first : kPanelBlocks;
    PanelTerm terms[2];
    for (int i = 0; i < p.num_terms; ++i) {
      const ProductTerm& term = p.terms[i];
      terms[i] = {term.x.data, term.x.block, term.x.blocks,
                  term.panels + panel_floats(term.x.blocks, first)};
    }
    PanelOutput out{p.bias + first * kBlock,
                    p.mask == nullptr ? nullptr : p.mask + first * p.y_block,
                    p.y + first * p.y_block, p.y_block, p.floor};
    const PixelGroups groups(p.rows, kTraits.pixels);
    for (int group = 0; group < groups.count; ++group) {
      const int pixels = groups.size(group);
      find_panel_product(pixels, wide * kBlockVectors)(terms, p.num_terms, out);
      for (int i = 0; i < p.num_terms; ++i) terms[i].x += pixels * kBlock;
      out.y += pixels * kBlock;
      if (out.mask != nullptr) out.mask += pixels * kBlock;
    }
  }
}

namespace {

#ifdef __AVX512F__
constexpr int kOuterRows = 8;     // of the result, accumulated at once
constexpr int kOuterVectors = 3;  // of its columns
#else
constexpr int kOuterRows = 4;
constexpr int kOuterVectors = 2;
#endif
constexpr int kOuterBlocks = kOuterVectors / kBlockVectors;

template <int kVectors>
__attribute__((noinline)) void outer_tile(const float* a, const float* b, std::ptrdiff_t b_block,
                                          int rows, float* sum, std::ptrdiff_t sum_row) {
  Vec acc[kOuterRows][kVectors];
#pragma GCC unroll 8
  for (int i = 0; i < kOuterRows; ++i) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) acc[i][v] = zero();
  }
  for (int row = 0; row < rows; ++row, a += kBlock, b += kBlock) {
    Vec column[kVectors];
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      column[v] = load(b + vector_block(v) * b_block + vector_lane(v));
    }
#pragma GCC unroll 8
    for (int i = 0; i < kOuterRows; ++i) {
      const Vec x = broadcast(a[i]);
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) accumulate(acc[i][v], x, column[v]);
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < kOuterRows; ++i) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      float* const at = sum + i * sum_row + v * kLanes;
      store(at, add(load(at), acc[i][v]));
    }
  }
}

}  // namespace

void add_outer_products(const OuterProducts& p) {
  const std::ptrdiff_t sum_row = p.sum_row;
  for (int i = 0; i < p.a.blocks; ++i) {
    for (int j = p.upper ? i : 0; j < p.b.blocks;) {
      const int wide = p.b.blocks - j < kOuterBlocks ? p.b.blocks - j : kOuterBlocks;
      const float* const b = p.b.data + j * p.b.block;
      for (int row = 0; row < kBlock; row += kOuterRows) {
        const float* const a = p.a.data + i * p.a.block + row;
        float* const sum = p.sum + (i * kBlock + row) * sum_row + j * kBlock;
#ifdef __AVX512F__
        if (wide == 1) {
          outer_tile<1>(a, b, p.b.block, p.rows, sum, sum_row);
        } else if (wide == 2) {
          outer_tile<2>(a, b, p.b.block, p.rows, sum, sum_row);
        } else {
          outer_tile<3>(a, b, p.b.block, p.rows, sum, sum_row);
        }
#else
        outer_tile<2>(a, b, p.b.block, p.rows, sum, sum_row);
#endif
      }
      j += wide;
    }
  }
}

void shift_columns(const ShiftedColumns& p) {
  for (int block = 0; block < p.x.blocks; ++block) {
    for (int v = 0; v < kBlockVectors; ++v) {
      const std::ptrdiff_t lane = v * kLanes;
      const float* const x = p.x.data + block * p.x.block + lane;
      const Vec shift = load(p.shift + block * kBlock + lane);
      float* const out = p.out == nullptr ? nullptr : p.out + block * p.out_block + lane;
      // Two sums: one addition waits for the one before.
      Vec even = zero(), odd = zero();
      for (int row = 0; row < p.rows; ++row) {
        const Vec value = sub(load(x + row * kBlock), shift);
        if (out != nullptr) store(out + row * kBlock, value);
        if (row % 2 == 0) {
          even = add(even, value);
        } else {
          odd = add(odd, value);
        }
      }
      float* const sums = p.sums + block * kBlock + lane;
      store(sums, add(load(sums), add(even, odd)));
    }
  }
}

}  // namespace mobileone::kernels::MOBILEONE_ISA
