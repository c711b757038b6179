// The operators of transformers on float64 arrays: normalisation, attention, and the way between
// maps and sequences. As operators.hpp, they know neither graphs nor weights' names.
#pragma once

#include "mobileone/reference/operators.hpp"

namespace mobileone::reference {

// Of every row of a tensor [..., channels]: the mean, and 1 / sqrt(biased variance + eps).
struct RowStatistics {
  Values mean, scale;
};

RowStatistics row_statistics(const ReferenceTensor& x, double eps, int threads);
// y = (x - mean) * scale * gamma + beta.
ReferenceTensor normalize_rows(const ReferenceTensor& x, const RowStatistics& statistics,
                               const Values& gamma, const Values& beta, int threads);

// result = f(x[s], s) for every sequence s of x [B, N, C], given as [1, N, C]; scores of one
// sequence fill less memory than those of all.
template <typename Function>
ReferenceTensor for_each_sequence(const ReferenceTensor& x, const Function& f) {
  const Shape one{1, x.shape[1], x.shape[2]};
  const auto size = static_cast<std::ptrdiff_t>(element_count(one));
  ReferenceTensor y{{0, x.shape[1], x.shape[2]}, {}};
  for (std::int64_t s = 0; s < x.shape[0]; ++s) {
    const auto first = x.values.begin() + s * size;
    const ReferenceTensor result = f(ReferenceTensor{one, Values(first, first + size)}, s);
    y.shape = result.shape;
    y.values.insert(y.values.end(), result.values.begin(), result.values.end());
  }
  y.shape[0] = x.shape[0];
  return y;
}

// x [B, N, 3 d] as in op.hpp. Result [B, heads, N, N]: q_i . k_j, unscaled; with `squares` the sum
// of the squared products instead.
ReferenceTensor attention_products(const ReferenceTensor& x, std::int64_t heads, bool squares,
                                   int threads);
// (d / heads)^-1/2 of x [B, N, 3 d].
double attention_scale(const Shape& x, std::int64_t heads);
// Softmax over the last dimension, in place; each row is multiplied with its gain.
void softmax(ReferenceTensor& scores, const Values& gains, int threads);
// weights [B, heads, N, N] times the values of x: [B, N, d]; with `squares` the sum of the squared
// products.
ReferenceTensor attend(const ReferenceTensor& x, const ReferenceTensor& weights, bool squares,
                       int threads);

// `shape` is the result's.
ReferenceTensor unfold(const ReferenceTensor& x, const Extent& patch, const Shape& shape);
ReferenceTensor fold(const ReferenceTensor& x, const Extent& patch, const Shape& shape);

}  // namespace mobileone::reference
