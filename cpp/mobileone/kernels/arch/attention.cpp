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

  // scores[key][query] = k . q, most[query] = max over keys.
  void score(float* most) const {
    TokenTile t;
    t.k = t.first_k = plan.shape.head_features();
    t.a_step = kPanel;
    t.b = operand(panel, 0) + lane;
    t.b_step = kPanel;
    t.c = scores;
    t.c_step = width();
    t.finish = Finish::kMax;
    t.lanes = most;
    const int end = first_key + plan.tokens.tokens();
    for (int column = first_key; column < end;) {
      const int index = column / kPanel, offset = column % kPanel;
      const int left = end - column, room = kPanel - offset;
      const int keys = left < room ? left : room;
      const RowGroups groups(keys);
      t.a = operand(index, 1) + offset;
      for (int group = 0; group < groups.count; ++group) {
        const int rows = groups.size(group);
        find_token_kernel(rows, vectors, Rows::kSide)(t);
        t.a += rows;
        t.c += std::ptrdiff_t{rows} * width();
      }
      column += keys;
    }
  }

  // scores = 2^(scores - most); inverse[query] = 1 / sum over keys.
  void exponentiate(const float* most, float* inverse) const {
    const int keys = plan.tokens.tokens();
    for (int v = 0; v < vectors; ++v) {
      const Vec top = load(most + v * kLanes);
      Vec sum[2] = {zero(), zero()};
      float* s = scores + v * kLanes;
      const std::ptrdiff_t step = width();
      int key = 0;
      for (; key + 2 <= keys; key += 2, s += 2 * step) {
#pragma GCC unroll 2
        for (int i = 0; i < 2; ++i) {
          const Vec weight = exp2_nonpositive(sub(load(s + i * step), top));
          sum[i] = add(sum[i], weight);
          store(s + i * step, weight);
        }
      }
      if (key < keys) {
        const Vec weight = exp2_nonpositive(sub(load(s), top));
        sum[0] = add(sum[0], weight);
        store(s, weight);
      }
      store(inverse + v * kLanes, div(broadcast(1.0f), add(sum[0], sum[1])));
    }
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
    for (int lane = 0; lane < kPanel; lane += kLanes) {
      store(lanes + lane, broadcast(-__builtin_inff()));
    }
    tile.score(lanes);
    tile.exponentiate(lanes, lanes + kPanel);
    tile.weigh(lanes + kPanel);
  }
}

}  // namespace mobileone::kernels::MOBILEONE_ISA
