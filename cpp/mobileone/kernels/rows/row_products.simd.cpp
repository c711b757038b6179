// Lanes are columns; a weight is broadcast from where it lies. A tile is some rows of weights by
// some vectors of columns, and goes through the whole depth with its sums in registers.
#include "mobileone/kernels/rows/row_products.hpp"

#include "mobileone/kernels/entry_points.hpp"
#include "mobileone/kernels/simd/simd.hpp"

namespace mobileone::kernels::MOBILEONE_ISA {
namespace {

// Rows of a tile by its vectors: accumulators, a vector of x each, and one broadcast.
#ifdef __AVX512F__
constexpr int kMostVectors = 4;
constexpr int kMostRows[] = {0, 14, 12, 8, 6};
#else
constexpr int kMostVectors = 3;
constexpr int kMostRows[] = {0, 12, 6, 4};
#endif

constexpr int kLine = 16;  // floats of a cache line

struct Tile {
  const RowProducts& p;
  int output;  // the first
  std::ptrdiff_t column;
  std::ptrdiff_t ahead;  // floats to the rows that are read next: fetched meanwhile
};

template <int kRows, int kVectors>
__attribute__((noinline)) void row_tile(const Tile& tile) {
  const RowProducts& p = tile.p;
  const std::ptrdiff_t row = p.weights_row, x_row = p.x_row, ahead = tile.ahead;
  // Every third row: those between are one or two steps from it, which an address can hold.
  constexpr int kBases = (kRows + 2) / 3;
  const float* w[kBases];
#pragma GCC unroll 5
  for (int i = 0; i < kBases; ++i) w[i] = p.weights + (tile.output + 3 * i) * row;
  const float* x = p.x + tile.column;
  Vec acc[kRows][kVectors];
#pragma GCC unroll 14
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) acc[r][v] = zero();
  }
  const auto step = [&](int k) __attribute__((always_inline)) {
    Vec columns[kVectors];
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) columns[v] = load(x + v * kLanes);
    x += x_row;
#pragma GCC unroll 14
    for (int r = 0; r < kRows; ++r) {
      const Vec weight = broadcast(w[r / 3][r % 3 * row + k]);
#pragma GCC unroll 4
      for (int v = 0; v < kVectors; ++v) acc[r][v] = fma(weight, columns[v], acc[r][v]);
    }
  };
  int left = p.depth;
  for (; left >= kLine; left -= kLine) {
#pragma GCC unroll 14
    for (int r = 0; r < kRows; ++r) __builtin_prefetch(w[r / 3] + r % 3 * row + ahead, 0, 2);
#pragma GCC unroll 4
    for (int k = 0; k < kLine; ++k) step(k);
#pragma GCC unroll 5
    for (int i = 0; i < kBases; ++i) w[i] += kLine;
  }
  for (int k = 0; k < left; ++k) step(k);
  float* const y = p.y + tile.output * p.y_row + tile.column;
#pragma GCC unroll 14
  for (int r = 0; r < kRows; ++r) {
    const Vec mean = broadcast(p.mean[tile.output + r]);
    const Vec scale = broadcast(p.scale[tile.output + r]);
    const Vec shift = broadcast(p.shift[tile.output + r]);
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) {
      float* const at = y + r * p.y_row + v * kLanes;
      const Vec value = fma(sub(acc[r][v], mean), scale, shift);
      store(at, p.add ? add(load(at), value) : value);
    }
  }
}

template <int kVectors, int kRows = kMostRows[kVectors]>
void run_rows(int rows, const Tile& tile) {
  if (rows == kRows) return row_tile<kRows, kVectors>(tile);
  if constexpr (kRows > 1) run_rows<kVectors, kRows - 1>(rows, tile);
}

template <int kVectors = kMostVectors>
void run_tile(int vectors, int rows, const Tile& tile) {
  if (vectors == kVectors) return run_rows<kVectors>(rows, tile);
  if constexpr (kVectors > 1) run_tile<kVectors - 1>(vectors, rows, tile);
}

// A number in parts of sizes that differ by one at most.
struct Parts {
  int count, small, large;
  constexpr Parts(int total, int most)
      : count((total + most - 1) / most), small(total / count), large(total % count) {}
  constexpr int size(int part) const { return part < large ? small + 1 : small; }
};

}  // namespace

// Rows outside, columns inside: rows stay in L1 while x streams past.
void multiply_rows(const RowProducts& p) {
  const Parts columns(p.columns / kLanes, kMostVectors);
  const Parts outputs(p.outputs, kMostRows[columns.size(0)]);
  int output = 0;
  for (int i = 0; i < outputs.count; ++i) {
    const int rows = outputs.size(i);
    std::ptrdiff_t column = 0;
    for (int j = 0; j < columns.count; ++j) {
      const bool last = j == columns.count - 1;
      run_tile(columns.size(j), rows, {p, output, column, last ? rows * p.weights_row : 0});
      column += columns.size(j) * kLanes;
    }
    output += rows;
  }
}

}  // namespace mobileone::kernels::MOBILEONE_ISA
