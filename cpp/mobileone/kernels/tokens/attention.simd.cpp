// Scaled dot-product attention (Vaswani et al., 2017, section 3.2.1) on tokens in lanes: the scores
// of one panel of queries against all keys, [keys][queries], so that a softmax over keys is
// vertical and its result is the operand of the product with the values.
#include "mobileone/kernels/entry_points.hpp"
#include "mobileone/kernels/simd/math.hpp"
#include "mobileone/kernels/tokens/token_gemm.hpp"

namespace mobileone::kernels::MOBILEONE_ISA {
namespace {

/// One head of one position, for up to a panel of queries.
struct HeadTile {
  const TransformerPlan& plan;
  const TransformerArgs& args;
  int first_key;  // column of the position's first token
  int head;
  int panel;      // of the queries
  int lane;       // first query's column in the panel
  int vectors;    // of queries
  float* scores;  // [keys][vectors * kLanes]

  int width() const { return vectors * kLanes; }
  // Row `row` of q (part 0), k (1) or v (2) of this head in panel `index`.
  const float* operand(int index, int part) const {
    const int row = part * plan.shape.features + head * plan.shape.head_features();
    return args.qkv + index * plan.qkv_stride() + std::ptrdiff_t{row} * kPanel;
  }
  float* attended() const {
    const std::ptrdiff_t row = std::ptrdiff_t{head} * plan.shape.head_features();
    return args.attended + panel * plan.panel_floats(plan.shape.features) + row * kPanel + lane;
  }

  // out[key][query] = k . q for `keys` keys from column `begin` on, or what `finish` makes of it
  // and of `lanes`.
  void score(int begin, int keys, Finish finish, float* lanes, float* out) const {
    TokenTile t;
    t.k = t.first_k = plan.shape.head_features();
    t.a_step = kPanel;
    t.b = operand(panel, 0) + lane;
    t.b_step = kPanel;
    t.c = out;
    t.c_step = width();
    t.finish = finish;
    t.lanes = lanes;
    for (int column = begin; column < begin + keys;) {
      const int index = column / kPanel, offset = column % kPanel;
      const int left = begin + keys - column, room = kPanel - offset;
      const int count = left < room ? left : room;
      t.a = operand(index, 1) + offset;
      multiply_rows(t, count, vectors, Rows::kSide);
      column += count;
    }
  }

  // s = 2^(s - top) for `keys` rows; sums += those of each query.
  void exponentiate(float* s, int keys, const float* top, float* sums) const {
    const std::ptrdiff_t step = width();
    for (int v = 0; v < vectors; ++v) {
      const Vec shift = load(top + v * kLanes);
      Vec sum = load(sums + v * kLanes);
      float* at = s + v * kLanes;
      for (int key = 0; key < keys; ++key, at += step) {
        const Vec weight = exp2_saturating(sub(load(at), shift));
        sum = add(sum, weight);
        store(at, weight);
      }
      store(sums + v * kLanes, sum);
    }
  }

  // attended[feature][query] = sum over keys of v[feature][key] weights[key][query], or +=.
  void weigh(int begin, int keys, const float* weights, Finish finish) const {
    const int offset = begin % kPanel;
    TokenTile t;
    t.k = keys;
    t.first_k = keys < kPanel - offset ? keys : kPanel - offset;
    t.segment_k = kPanel;
    t.a_gap = plan.qkv_stride() - kPanel;
    t.a = operand(begin / kPanel, 2) + offset;
    t.b = weights;
    t.b_step = width();
    t.c = attended();
    t.c_step = kPanel;
    t.finish = finish;
    multiply_rows(t, plan.shape.head_features(), vectors, Rows::kAcross);
  }

  // Without the search for a query's largest score: a sum of weights between 2^-60 and 2^100 proves
  // that none of them overflowed and that none which counts was lost. A few keys at a time, whose
  // weights stay in L1. Returns false, and leaves rubbish, where a sum is outside.
  bool attend_unshifted(float* sums) const {
    constexpr int kKeys = 2 * kPanel;
    clear(sums, 0.0f);
    const int end = first_key + plan.tokens.tokens();
    for (int column = first_key; column < end;) {
      const int next = (column / kPanel) * kPanel + kKeys;
      const int keys = (end < next ? end : next) - column;
      score(column, keys, Finish::kPower, sums, scores);
      weigh(column, keys, scores, column == first_key ? Finish::kStore : Finish::kAdd);
      column += keys;
    }
    for (int i = 0; i < width(); ++i) {
      if (!(sums[i] >= 0x1p-60f && sums[i] <= 0x1p100f)) return false;
    }
    return true;
  }

  void attend_shifted(float* top, float* sums) const {
    clear(top, -__builtin_inff());
    clear(sums, 0.0f);
    const int keys = plan.tokens.tokens();
    score(first_key, keys, Finish::kMax, top, scores);
    exponentiate(scores, keys, top, sums);
    weigh(first_key, keys, scores, Finish::kStore);
  }

  // attended /= sums.
  void divide(const float* sums) const {
    const int features = plan.shape.head_features();
    for (int v = 0; v < vectors; ++v) {
      const Vec inverse = div(broadcast(1.0f), load(sums + v * kLanes));
      float* at = attended() + v * kLanes;
      for (int i = 0; i < features; ++i, at += kPanel) store(at, mul(load(at), inverse));
    }
  }

  static void clear(float* lanes, float value) {
    for (int at = 0; at < kPanel; at += kLanes) store(lanes + at, broadcast(value));
  }
};

}  // namespace

void attention(const TransformerPlan& plan, const TransformerArgs& args, int unit_begin,
               int unit_end) {
  const int queries = plan.query_panels();
  auto* lanes = static_cast<float*>(args.scratch);
  for (int unit = unit_begin; unit < unit_end; ++unit) {
    const int position = unit / (plan.shape.heads * queries);
    const int head = unit / queries % plan.shape.heads;
    const int first = position * plan.tokens.stride();
    const int last = first + plan.tokens.tokens();
    const int panel = first / kPanel + unit % queries;
    const int begin = first > panel * kPanel ? first : panel * kPanel;
    const int end = last < (panel + 1) * kPanel ? last : (panel + 1) * kPanel;
    if (begin >= end) continue;
    const HeadTile tile{plan,
                        args,
                        first,
                        head,
                        panel,
                        begin % kPanel,
                        (end - begin + kLanes - 1) / kLanes,
                        lanes + 2 * kPanel};
    float *top = lanes, *sums = lanes + kPanel;
    if (!tile.attend_unshifted(sums)) tile.attend_shifted(top, sums);
    tile.divide(sums);
  }
}

}  // namespace mobileone::kernels::MOBILEONE_ISA
