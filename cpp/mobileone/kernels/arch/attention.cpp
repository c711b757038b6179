// Scaled dot-product attention (Vaswani et al., 2017, section 3.2.1) on tokens in lanes: the scores
// of one panel of queries against all keys, [keys][queries], so that a softmax over keys is
// vertical and its result is the operand of the product with the values.
#include "mobileone/kernels/arch/entry_points.hpp"
#include "mobileone/kernels/arch/math.hpp"
#include "mobileone/kernels/arch/token_gemm.hpp"

namespace mobileone::kernels::MOBILEONE_ISA {
namespace {

/// Groups of at most kMaxRows that cover `total`, sizes within one of each other.
struct RowGroups {
  int count, small, num_large;
  explicit RowGroups(int total)
      : count((total + kMaxRows - 1) / kMaxRows), small(total / count), num_large(total % count) {}
  int size(int group) const { return group < num_large ? small + 1 : small; }
};

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

  // Calls visit(first row of scores, keys) for the keys of each panel, when their scores are in L1.
  template <typename Visit>
  void score(Finish finish, float* most, const Visit& visit) const {
    TokenTile t;
    t.k = t.first_k = plan.shape.head_features();
    t.a_step = kPanel;
    t.b = operand(panel, 0) + lane;
    t.b_step = kPanel;
    t.c = scores;
    t.c_step = width();
    t.finish = finish;
    t.lanes = most;
    const int end = first_key + plan.tokens.tokens();
    for (int column = first_key; column < end;) {
      const int index = column / kPanel, offset = column % kPanel;
      const int left = end - column, room = kPanel - offset;
      const int keys = left < room ? left : room;
      const RowGroups groups(keys);
      float* const first = t.c;
      t.a = operand(index, 1) + offset;
      for (int group = 0; group < groups.count; ++group) {
        const int rows = groups.size(group);
        find_token_kernel(rows, vectors, Rows::kSide)(t);
        t.a += rows;
        t.c += std::ptrdiff_t{rows} * width();
      }
      visit(first, keys);
      column += keys;
    }
  }

  // s = 2^(s - top) for `keys` rows; sums += those of each query.
  template <bool kShifted>
  void exponentiate(float* s, int keys, const float* top, float* sums) const {
    const std::ptrdiff_t step = width();
    for (int v = 0; v < vectors; ++v) {
      const Vec shift = kShifted ? load(top + v * kLanes) : zero();
      Vec sum = load(sums + v * kLanes);
      float* at = s + v * kLanes;
      for (int key = 0; key < keys; ++key, at += step) {
        const Vec score = load(at);
        const Vec weight = exp2_saturating(kShifted ? sub(score, shift) : score);
        sum = add(sum, weight);
        store(at, weight);
      }
      store(sums + v * kLanes, sum);
    }
  }

  // scores[key][query] = 2^(k . q) but for a factor per query, sums[query] = their sum. Nearly
  // always the factor is 1, and nobody has to look for a largest score first: a sum between 2^-60
  // and 2^100 proves that no weight overflowed and that none which counts was lost.
  void weights(float* top, float* sums) const {
    for (int at = 0; at < kPanel; at += kLanes) store(sums + at, zero());
    score(Finish::kStore, nullptr,
          [&](float* s, int keys) { exponentiate<false>(s, keys, nullptr, sums); });
    if (all_within(sums, 0x1p-60f, 0x1p100f)) return;
    for (int at = 0; at < kPanel; at += kLanes) {
      store(top + at, broadcast(-__builtin_inff()));
      store(sums + at, zero());
    }
    score(Finish::kMax, top, [](float*, int) {});
    exponentiate<true>(scores, plan.tokens.tokens(), top, sums);
  }

  bool all_within(const float* sums, float low, float high) const {
    for (int i = 0; i < width(); ++i) {
      if (!(sums[i] >= low && sums[i] <= high)) return false;
    }
    return true;
  }

  // attended[feature][query] = (sum over keys of v[feature][key] scores[key][query]) * inverse.
  void weigh(float* inverse) const {
    const int features = plan.shape.head_features();
    const int keys = plan.tokens.tokens();
    const int offset = first_key % kPanel;
    TokenTile t;
    t.k = keys;
    t.first_k = keys < kPanel - offset ? keys : kPanel - offset;
    t.segment_k = kPanel;
    t.a_gap = plan.qkv_stride() - kPanel;
    t.a = operand(first_key / kPanel, 2) + offset;
    t.b = scores;
    t.b_step = width();
    t.c = args.attended + panel * plan.panel_floats(plan.shape.features) +
          std::ptrdiff_t{head} * features * kPanel + lane;
    t.c_step = kPanel;
    t.finish = Finish::kScale;
    t.lanes = inverse;
    const RowGroups groups(features);
    for (int group = 0; group < groups.count; ++group) {
      const int rows = groups.size(group);
      find_token_kernel(rows, vectors, Rows::kAcross)(t);
      t.a += rows * kPanel;
      t.c += rows * kPanel;
    }
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
    tile.weights(lanes, lanes + kPanel);
    for (int at = kPanel; at < 2 * kPanel; at += kLanes) {
      store(lanes + at, div(broadcast(1.0f), load(lanes + at)));
    }
    tile.weigh(lanes + kPanel);
  }
}

}  // namespace mobileone::kernels::MOBILEONE_ISA
