#include "mobileone/kernels/depthwise/row_pairs.hpp"

namespace mobileone::kernels::MOBILEONE_ISA {
namespace {

/// Which rows of a pair are wanted.
enum class Part { kBoth, kUpper, kLower };

constexpr bool has_upper(Part part) { return part != Part::kLower; }
constexpr bool has_lower(Part part) { return part != Part::kUpper; }
/// Whether m_i is needed.
constexpr bool uses(Part part, int i) {
  return i == 0 ? has_upper(part) : i == 3 ? has_lower(part) : true;
}

/// Pairs of rows, one below the other.
struct PairColumn {
  const float* const* rows;  // of the first pair, from the first one that the part reads
  std::ptrdiff_t lane;
  const float* taps;
  int width;
  float floor, most;  // the ceiling
  float* dst;
  std::ptrdiff_t dst_row;

  void skip(int count) {
    rows += count;
    dst += count * dst_row;
  }
};

/// m0..m3 of one output pixel, as far as they are summed, or what a column of inputs adds to them.
struct Quad {
  Vec m[4];
};

/// One pair's inputs and outputs.
template <Part kPart, bool kRounds>
class PairIo {
 public:
  PairIo(const PairColumn& c, int pair)
      : floor_(broadcast(c.floor)), most_(c.most), lane_(c.lane), dst_row_(c.dst_row) {
    const float* const* rows = c.rows + 2 * pair - (kPart == Part::kLower ? 1 : 0);
    for (int i = 0; i < 4; ++i) rows_[i] = uses(kPart, i) ? rows[i] : nullptr;
    dst_ = c.dst + 2 * pair * c.dst_row;
  }

  /// The inputs of column `x`, transformed.
  __attribute__((always_inline)) Quad column(std::ptrdiff_t x) const {
    Quad d{};
    const std::ptrdiff_t at = x * kBlock + lane_;
    const Vec x1 = in_register(load(rows_[1] + at)), x2 = in_register(load(rows_[2] + at));
    if constexpr (has_upper(kPart)) d.m[0] = sub(load(rows_[0] + at), x2);
    d.m[1] = add(x1, x2);
    d.m[2] = sub(x2, x1);
    if constexpr (has_lower(kPart)) d.m[3] = sub(x1, load(rows_[3] + at));
    return d;
  }

  __attribute__((always_inline)) void write(const Quad& q, std::ptrdiff_t x) const {
    if constexpr (has_upper(kPart)) put(x, 0, add(add(q.m[1], q.m[2]), q.m[0]));
    if constexpr (has_lower(kPart)) {
      put(x, kPart == Part::kBoth ? dst_row_ : 0, sub(sub(q.m[1], q.m[2]), q.m[3]));
    }
  }

 private:
  __attribute__((always_inline)) void put(std::ptrdiff_t x, std::ptrdiff_t row, Vec v) const {
    v = max(floor_, v);
    if (most_ != __builtin_inff()) v = min(broadcast(most_), v);
    if constexpr (kRounds) {
      store_bfloat16(dst_ + row + x * Bfloat16::kBlockLanes, v);
    } else {
      store(dst_ + row + x * kBlock, v);
    }
  }

  const float* rows_[4];
  Vec floor_;
  float most_;
  std::ptrdiff_t lane_, dst_row_;
  float* dst_;
};

template <Part kPart>
__attribute__((always_inline)) inline void start(Quad& q, const Quad& d, const Quad& w, Vec bias) {
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    if (uses(kPart, i)) q.m[i] = i == 1 ? fma(d.m[i], w.m[i], bias) : mul(d.m[i], w.m[i]);
  }
}

template <Part kPart>
__attribute__((always_inline)) inline void more(Quad& q, const Quad& d, const Quad& w) {
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    if (uses(kPart, i)) accumulate(q.m[i], d.m[i], w.m[i]);
  }
}

__attribute__((always_inline)) inline Quad load_taps(const float* taps, int column) {
  Quad w;
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) w.m[i] = in_register(load(taps + (4 * column + i) * kBlock));
  return w;
}

#ifdef __AVX512F__
// All weights in registers. Each column of inputs is transformed once and feeds three pixels, which
// change their places: `a` has its last column, `c` its first one.
template <Part kPart, bool kRounds>
__attribute__((noinline)) void pair_rows(const PairColumn& c, int pairs) {
  const Quad w0 = load_taps(c.taps, 0), w1 = load_taps(c.taps, 1), w2 = load_taps(c.taps, 2);
  const Vec bias = in_register(load(c.taps + 12 * kBlock));
  const int width = c.width;
  for (int pair = 0; pair < pairs; ++pair) {
    const PairIo<kPart, kRounds> io(c, pair);
    Quad p, q, r;
    Quad d = io.column(0);
    start<kPart>(p, d, w0, bias);
    d = io.column(1);
    more<kPart>(p, d, w1);
    start<kPart>(q, d, w0, bias);
    const auto step = [&](Quad& a, Quad& b, Quad& c, int x) __attribute__((always_inline)) {
      d = io.column(x + 2);
      more<kPart>(a, d, w2);
      more<kPart>(b, d, w1);
      start<kPart>(c, d, w0, bias);
      io.write(a, x);
    };
    int x = 0;
    for (; x + 3 <= width; x += 3) {
      step(p, q, r, x);
      step(q, r, p, x + 1);
      step(r, p, q, x + 2);
    }
    if (x < width) step(p, q, r, x);
    if (x + 1 < width) step(q, r, p, x + 1);
  }
}
#else
// The same sums, each pixel on its own.
template <Part kPart, bool kRounds>
__attribute__((noinline)) void pair_rows(const PairColumn& c, int pairs) {
  for (int pair = 0; pair < pairs; ++pair) {
    const PairIo<kPart, kRounds> io(c, pair);
    for (int x = 0; x < c.width; ++x) {
      Quad q;
      start<kPart>(q, io.column(x), load_taps(c.taps, 0), load(c.taps + 12 * kBlock));
      more<kPart>(q, io.column(x + 1), load_taps(c.taps, 1));
      more<kPart>(q, io.column(x + 2), load_taps(c.taps, 2));
      io.write(q, x);
    }
  }
}
#endif

template <bool kRounds>
void run_column(PairColumn column, int first, int count) {
  if (first % 2 == 1) {
    pair_rows<Part::kLower, kRounds>(column, 1);
    column.skip(1);
    --count;
  }
  if (count >= 2) pair_rows<Part::kBoth, kRounds>(column, count / 2);
  column.skip(count / 2 * 2);
  if (count % 2 == 1) pair_rows<Part::kUpper, kRounds>(column, 1);
}

}  // namespace

void depthwise_row_pairs(const DepthwiseWindow& window, const float* const* rows, int first,
                         int count, int width, float* dst) {
  if constexpr (kTraits.row_pairs()) {
    const bool rounds = kTraits.per_lane > 1 && window.rounds;
    const int per_float = rounds ? kTraits.per_lane : 1;
    const std::ptrdiff_t dst_row =
        window.dst_row != 0 ? window.dst_row : std::ptrdiff_t{width} * kBlock / per_float;
    for (int lane = 0; lane < kBlock; lane += kLanes) {
      const PairColumn column{rows,         lane,           window.taps + lane,     width,
                              window.floor, window.ceiling, dst + lane / per_float, dst_row};
      if (rounds) {
        run_column<true>(column, first, count);
      } else {
        run_column<false>(column, first, count);
      }
    }
  }
}

}  // namespace mobileone::kernels::MOBILEONE_ISA
