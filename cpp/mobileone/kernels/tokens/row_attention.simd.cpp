// One panel of queries at a time, in lanes, against all keys: scores are [keys][queries], so that a
// softmax over keys is vertical. With P = softmax(Q K' s), D = dY V':
//   dV = P' dY,  dS = P (D - sum over keys of P D),  dQ = s dS K,  dK = s dS' Q.
#include <cmath>

#include "mobileone/kernels/entry_points.hpp"
#include "mobileone/kernels/simd/math.hpp"
#include "mobileone/kernels/simd/transpose.hpp"
#include "mobileone/kernels/tokens/token_gemm.hpp"

namespace mobileone::kernels::MOBILEONE_ISA {
namespace {

float scale_of_scores(int features) {
  return static_cast<float>(1.0 / std::sqrt(static_cast<double>(features)));
}

// out[column][row] = factor in[row][column].
void transpose_into(const float* in, std::ptrdiff_t in_step, int rows, int columns, float factor,
                    float* out, std::ptrdiff_t out_step) {
  const int whole_rows = rows - rows % kLanes, whole_columns = columns - columns % kLanes;
  const Vec by = broadcast(factor);
  for (int row = 0; row < whole_rows; row += kLanes) {
    for (int column = 0; column < whole_columns; column += kLanes) {
      Vec block[kLanes];
#pragma GCC unroll 16
      for (int i = 0; i < kLanes; ++i) block[i] = load(in + (row + i) * in_step + column);
      transpose(block);
#pragma GCC unroll 16
      for (int i = 0; i < kLanes; ++i) {
        store(out + (column + i) * out_step + row, mul(by, block[i]));
      }
    }
  }
  for (int row = 0; row < rows; ++row) {
    for (int column = row < whole_rows ? whole_columns : 0; column < columns; ++column) {
      out[column * out_step + row] = factor * in[row * in_step + column];
    }
  }
}

// to[row][0, columns) = factor from[row][...].
void copy_rows(const float* from, std::ptrdiff_t from_step, int rows, int columns, float factor,
               float* to, std::ptrdiff_t to_step) {
  const int whole = columns - columns % kLanes;
  const Vec by = broadcast(factor);
  for (int row = 0; row < rows; ++row, from += from_step, to += to_step) {
    for (int i = 0; i < whole; i += kLanes) store(to + i, mul(by, load(from + i)));
    for (int i = whole; i < columns; ++i) to[i] = factor * from[i];
  }
}

void clear(float* at, std::ptrdiff_t count) {
  for (std::ptrdiff_t i = 0; i < count; i += kLanes) store(at + i, zero());
}

// What both directions share: operands with tokens in lanes, and a panel of scores.
class Head {
 public:
  Head(const RowAttention& shape, const PackedHead& x)
      : shape_(shape), x_(x), step_(ceil_div(shape.tokens, kPanel) * kPanel) {}

  std::ptrdiff_t step() const { return step_; }
  // [features][step] of [tokens][features]; lanes beyond the last token hold zeros.
  void transposed(const float* rows, std::ptrdiff_t rows_step, float factor, float* out) const {
    clear(out, shape_.features * step_);
    transpose_into(rows, rows_step, shape_.tokens, shape_.features, factor, out, step_);
  }
  int queries(int first) const {
    return shape_.tokens - first < kPanel ? shape_.tokens - first : kPanel;
  }
  static int vectors(int queries) { return ceil_div(queries, kLanes); }

  // out[token][query] = sum over features of left[feature][token] right[feature][query].
  void products(const float* left, const float* right, int vectors, Finish finish, float* lanes,
                float* out) const {
    TokenTile t;
    t.k = t.first_k = shape_.features;
    t.a = left;
    t.a_step = t.b_step = step_;
    t.b = right;
    t.c = out;
    t.c_step = kPanel;
    t.finish = finish;
    t.lanes = lanes;
    multiply_rows(t, shape_.tokens, vectors, Rows::kSide);
  }
  // out[feature][query] = sum over tokens of rows[token][feature] weights[token][query].
  void weighted(const float* rows, const float* weights, int vectors, float* out) const {
    TokenTile t;
    t.k = t.first_k = shape_.tokens;
    t.a = rows;
    t.a_step = shape_.packed_step;
    t.b = weights;
    t.b_step = t.c_step = kPanel;
    t.c = out;
    multiply_rows(t, shape_.features, vectors, Rows::kSide);
  }
  // sum[token][feature] += sum over queries of weights[token][query] rows[query][feature], both
  // rows of whole blocks.
  void add_outer(const float* weights, const float* rows, int queries, float* sum) const {
    const int wide = padded(shape_.features);
    for (int column = 0; column < wide;) {
      const int vectors = wide - column < 2 * kLanes ? 1 : 2;
      TokenTile t;
      t.k = t.first_k = queries;
      t.a = weights;
      t.b = rows + column;
      t.c = sum + column;
      t.b_step = t.c_step = wide;
      t.finish = Finish::kAdd;
      multiply_rows(t, shape_.tokens, vectors, Rows::kAcross);
      column += vectors * kLanes;
    }
  }

  const RowAttention& shape_;
  const PackedHead& x_;

 private:
  std::ptrdiff_t step_;
};

void start_maxima(float* lanes) {
  for (int at = 0; at < kPanel; at += kLanes) store(lanes + at, broadcast(-__builtin_inff()));
}

}  // namespace

void attention_forward(const AttentionForward& args) {
  const RowAttention& shape = args.shape;
  const Head head(shape, args.x);
  float* const queries = args.scratch;
  float* const keys = queries + shape.features * head.step();
  float* const weights = keys + shape.features * head.step();
  float* const result = weights + std::ptrdiff_t{shape.tokens} * kPanel;
  float* const most = result + std::ptrdiff_t{shape.features} * kPanel;
  // Scores are powers of two's.
  head.transposed(args.x.queries, shape.packed_step, kLog2E * scale_of_scores(shape.features),
                  queries);
  head.transposed(args.x.keys, shape.packed_step, 1.0f, keys);
  for (int first = 0; first < shape.tokens; first += kPanel) {
    const int count = head.queries(first), vectors = Head::vectors(count);
    start_maxima(most);
    head.products(keys, queries + first, vectors, Finish::kMax, most, weights);
    Vec inverse[2];
    for (int v = 0; v < vectors; ++v) {
      const Vec top = load(most + v * kLanes);
      Vec sum = zero();
      float* at = weights + v * kLanes;
      for (int key = 0; key < shape.tokens; ++key, at += kPanel) {
        const Vec weight = exp2_saturating(sub(load(at), top));
        sum = add(sum, weight);
        store(at, weight);
      }
      inverse[v] = div(broadcast(1.0f), sum);
    }
    head.weighted(args.x.values, weights, vectors, result);
    for (int v = 0; v < vectors; ++v) {
      float* at = result + v * kLanes;
      for (int i = 0; i < shape.features; ++i, at += kPanel) store(at, mul(load(at), inverse[v]));
    }
    transpose_into(result, kPanel, shape.features, count, 1.0f, args.y + first * shape.result_step,
                   shape.result_step);
  }
}

namespace {

// Scores become weights, the weights' gradients those of scores, [keys][kPanel] each: both of a
// vector of queries.
void differentiate_softmax(int keys, Vec top, float* scores, float* gradients) {
  Vec sum = zero(), mean = zero();
  for (int key = 0; key < keys; ++key) {
    float* const at = scores + std::ptrdiff_t{key} * kPanel;
    const Vec weight = exp2_saturating(sub(load(at), top));
    sum = add(sum, weight);
    mean = fma(weight, load(gradients + std::ptrdiff_t{key} * kPanel), mean);
    store(at, weight);
  }
  const Vec inverse = div(broadcast(1.0f), sum);
  mean = mul(mean, inverse);
  for (int key = 0; key < keys; ++key) {
    float* const at = scores + std::ptrdiff_t{key} * kPanel;
    float* const gradient = gradients + std::ptrdiff_t{key} * kPanel;
    const Vec weight = mul(load(at), inverse);
    store(at, weight);
    store(gradient, mul(weight, sub(load(gradient), mean)));
  }
}

}  // namespace

void attention_gradient(const AttentionGradient& args) {
  const RowAttention& shape = args.shape;
  const PackedHead& x = args.x;
  const Head head(shape, x);
  const int wide = padded(shape.features);
  const std::ptrdiff_t transposed = shape.features * head.step();
  const std::ptrdiff_t rows = std::ptrdiff_t{shape.tokens} * wide;
  const std::ptrdiff_t panel = std::ptrdiff_t{shape.tokens} * kPanel;
  float* const queries = args.scratch;  // four with tokens in lanes
  float* const keys = queries + transposed;
  float* const values = keys + transposed;
  float* const dresults = values + transposed;
  float* const weights = dresults + transposed;  // and two panels of scores
  float* const gradients = weights + panel;
  float* const tile = gradients + panel;
  float* const most = tile + std::ptrdiff_t{shape.features} * kPanel;
  float* const query_rows = most + kPanel;  // four with features in whole blocks
  float* const result_rows = query_rows + rows;
  float* const dkeys = result_rows + rows;
  float* const dvalues = dkeys + rows;

  const float scale = scale_of_scores(shape.features);
  head.transposed(x.queries, shape.packed_step, kLog2E * scale, queries);
  head.transposed(x.keys, shape.packed_step, 1.0f, keys);
  head.transposed(x.values, shape.packed_step, 1.0f, values);
  head.transposed(args.dy, shape.result_step, 1.0f, dresults);
  clear(query_rows, 4 * rows);
  copy_rows(x.queries, shape.packed_step, shape.tokens, shape.features, 1.0f, query_rows, wide);
  copy_rows(args.dy, shape.result_step, shape.tokens, shape.features, 1.0f, result_rows, wide);
  for (int first = 0; first < shape.tokens; first += kPanel) {
    const int count = head.queries(first), vectors = Head::vectors(count);
    start_maxima(most);
    head.products(keys, queries + first, vectors, Finish::kMax, most, weights);
    head.products(values, dresults + first, vectors, Finish::kStore, nullptr, gradients);
    for (int v = 0; v < vectors; ++v) {
      differentiate_softmax(shape.tokens, load(most + v * kLanes), weights + v * kLanes,
                            gradients + v * kLanes);
    }
    head.weighted(x.keys, gradients, vectors, tile);
    transpose_into(tile, kPanel, shape.features, count, scale,
                   args.dqueries + first * shape.packed_step, shape.packed_step);
    head.add_outer(weights, result_rows + std::ptrdiff_t{first} * wide, count, dvalues);
    head.add_outer(gradients, query_rows + std::ptrdiff_t{first} * wide, count, dkeys);
  }
  copy_rows(dkeys, wide, shape.tokens, shape.features, scale, args.dkeys, shape.packed_step);
  copy_rows(dvalues, wide, shape.tokens, shape.features, 1.0f, args.dvalues, shape.packed_step);
}

}  // namespace mobileone::kernels::MOBILEONE_ISA
