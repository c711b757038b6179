// The matrix-multiplication microkernel under the transformer, on tokens in lanes:
//   C[row][token] = sum_k A[row][k] * B[k][token]   for up to 14 rows x 2 vectors of tokens
//   (AVX-512).
// A is read one number at a time, so rows and k need not be multiples of anything.
#pragma once

#include "mobileone/kernels/simd/simd.hpp"
#include "mobileone/kernels/tokens/tokens.hpp"

namespace mobileone::kernels::MOBILEONE_ISA {

inline constexpr int kPanel = kTraits.token_columns();  // tokens of a panel
inline constexpr int kMaxRows = kTraits.token_rows();   // accumulators fit the registers

enum class Finish {
  kStore,  // c = acc
  kAdd,    // c += acc
  kMax,    // c = acc, lanes = max(lanes, acc over rows)
  kPower,  // c = 2^acc, lanes += c over rows; with Rows::kSide
  kSilu,   // c = acc / (1 + e^-acc); with Rows::kSide
};

struct TokenTile {
  const float* a = nullptr;
  std::ptrdiff_t a_step = 0;  // floats from one k to the next; rows side by side (kSide)
  // k runs over segments: `first_k`, then `segment_k` at a time, `a_gap` floats between them. One
  // segment with Rows::kSide.
  int k = 0, first_k = 0, segment_k = 0;
  std::ptrdiff_t a_gap = 0;
  const float* b = nullptr;  // [k][b_step]
  std::ptrdiff_t b_step = 0;
  const float* bias = nullptr;  // [rows], or null
  float* c = nullptr;           // [rows][c_step]
  std::ptrdiff_t c_step = 0;
  Finish finish = Finish::kStore;
  float* lanes = nullptr;  // [vectors * kLanes], for kMax and kPower
};

/// How the rows of A lie: next to each other, k `a_step` apart (weights, keys); or a panel's width
/// apart with k side by side (values).
enum class Rows { kSide, kAcross };

using TokenKernel = void (*)(const TokenTile&);

/// 1 <= rows <= kMaxRows, 1 <= vectors <= 2.
TokenKernel find_token_kernel(int rows, int vectors, Rows layout);

/// Groups of at most kMaxRows that cover `total`, sizes within one of each other.
struct RowGroups {
  int count, small, num_large;
  explicit RowGroups(int total)
      : count((total + kMaxRows - 1) / kMaxRows), small(total / count), num_large(total % count) {}
  int size(int group) const { return group < num_large ? small + 1 : small; }
};

/// The product of any number of rows, without a bias; moves `t` past them. Not a copy of it: copied
/// right after it was filled, it waits for its stores, longer than a short product takes.
inline void multiply_rows(TokenTile& t, int total, int vectors, Rows layout) {
  const RowGroups groups(total);
  for (int group = 0; group < groups.count; ++group) {
    const int rows = groups.size(group);
    find_token_kernel(rows, vectors, layout)(t);
    t.a += layout == Rows::kSide ? rows : std::ptrdiff_t{rows} * kPanel;
    t.c += rows * t.c_step;
  }
}

}  // namespace mobileone::kernels::MOBILEONE_ISA
